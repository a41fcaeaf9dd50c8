<?php

/**
 * What the fields X-Assay-Result and X-Assay-Summary of one message say. This class knows nothing of Roundcube.
 */
final class assay_statement
{
    /** How much of a summary is shown, in characters. */
    const MAX_SUMMARY = 4000;

    /**
     * One of the trust words verified, authenticated, unverified, suspicious and forged; for mail that was not checked
     * inside (sent by a logged-in user), local (made on the mail system) or relay (from a trusted system); or unclear.
     */
    public $state;

    /** What a person reads; text and not HTML. It can be empty. */
    public $summary;

    private function __construct($state, $summary)
    {
        $this->state   = $state;
        $this->summary = $summary;
    }

    /**
     * Reads the values of the two fields: null where there is none, a string where there is one, an array where there are
     * several. The summary is decoded. Returns null for a message that did not come through Assay.
     */
    public static function read($result, $summary)
    {
        if ($result === null || $result === [] || $result === '') {
            return null;
        }
        $state = is_string($result) ? self::state($result) : 'unclear';
        return new self($state, $state !== 'unclear' && is_string($summary) ? self::clean($summary) : '');
    }

    /** The first words of the machine line have a fixed order. What does not begin like this was not written by Assay. */
    private static function state($result)
    {
        $line = '/^v=1;\s+trust=(verified|authenticated|unverified|suspicious|forged);\s+disposition=[a-z]+;'
            . '\s+tls=[A-Za-z0-9._-]+;\s+(?:skipped=(authenticated|local|network);)?/';
        if (!preg_match($line, $result, $m)) {
            return 'unclear';
        }
        $unchecked = ['authenticated' => 'inside', 'local' => 'local', 'network' => 'relay'];
        if (isset($m[2]) && in_array($m[1], ['authenticated', 'unverified'], true)) {
            return $unchecked[$m[2]];
        }
        return $m[1];
    }

    /** One line of text, without characters that change the order of what is read. */
    private static function clean($text)
    {
        $text = mb_scrub($text, 'UTF-8');
        $text = preg_replace('/[\x{0}-\x{1F}\x{7F}-\x{9F}\x{200E}\x{200F}\x{2028}-\x{202E}\x{2066}-\x{2069}]+/u', ' ', $text);
        $text = trim($text);
        return mb_strlen($text, 'UTF-8') > self::MAX_SUMMARY ? mb_substr($text, 0, self::MAX_SUMMARY, 'UTF-8') . "\u{2026}" : $text;
    }
}
