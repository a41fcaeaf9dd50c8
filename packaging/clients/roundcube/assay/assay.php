<?php

require_once __DIR__ . '/assay_statement.php';

/**
 * Shows above a message what Assay has found out about its sender: a colour, a sign and words, and below them the sentence
 * that Assay wrote into the message.
 *
 * The plugin believes the field X-Assay-Result, which Assay removes from everything that comes from outside. Install it only
 * where all mail comes through Assay. A message that has the field more than once, or in a form that Assay does not write,
 * is shown as unclear. A message that is attached to another one came through nobody's hands, and nothing is shown for it.
 *
 * Roundcube 1.4 and newer.
 */
class assay extends rcube_plugin
{
    public $task = 'mail';

    const DEFAULT_PREFIX = 'X-Assay';

    /** Signs beside the colours, for people who do not tell these apart. */
    const SIGNS = [
        'verified' => "\u{2713}", 'authenticated' => "\u{2713}", 'inside' => "\u{2713}",
        'suspicious' => '!', 'forged' => "\u{2717}",
    ];

    /** Names of the two fields, in lower case. */
    private $result;
    private $summary;

    public function init()
    {
        $this->load_config();
        $prefix = rcmail::get_instance()->config->get('assay_prefix', self::DEFAULT_PREFIX);
        if (!is_string($prefix) || !preg_match('/^[A-Za-z0-9-]{1,64}$/D', $prefix)) {
            rcube::raise_error(['code' => 600, 'type' => 'php', 'message' => 'assay: assay_prefix is no name of a field'], true, false);
            $prefix = self::DEFAULT_PREFIX;
        }
        $this->result  = strtolower("$prefix-Result");
        $this->summary = strtolower("$prefix-Summary");

        $this->add_hook('storage_init', [$this, 'fetch']);
        $this->add_hook('message_objects', [$this, 'show']);
    }

    /** Lets Roundcube fetch the two fields together with those that it always fetches. */
    public function fetch($args)
    {
        $more = strtoupper("$this->result $this->summary");
        $args['fetch_headers'] = trim(($args['fetch_headers'] ?? '') . ' ' . $more);
        return $args;
    }

    /** Puts the statement in front of what Roundcube has to say about the message. */
    public function show($args)
    {
        $message = $args['message'];
        if ($message->context !== null || empty($message->headers)) {
            return $args; // attached to another message, or nothing there
        }
        $statement = assay_statement::read($message->get_header($this->result, true), $message->get_header($this->summary));
        if ($statement !== null) {
            $this->add_texts('localization/');
            $this->include_stylesheet('assay.css');
            array_unshift($args['content'], $this->box($statement));
        }
        return $args;
    }

    /** The statement as HTML. Whatever comes from the message is escaped here, and nowhere else is HTML made. */
    private function box(assay_statement $s)
    {
        $sign = html::span(['class' => 'assay-sign', 'aria-hidden' => 'true'], rcube::Q(self::SIGNS[$s->state] ?? '?'));
        $text = html::tag('strong', null, rcube::Q($this->gettext($s->state)));
        if ($s->summary !== '') {
            $text .= ' ' . html::tag('bdi', ['class' => 'assay-summary'], rcube::Q($s->summary));
        }
        return html::div(['class' => "assay assay-$s->state", 'role' => 'status'], $sign . html::tag('p', null, $text));
    }
}
