package privacy

import "slices"

// An effect says what a key of the configuration changes for privacy.
type effect struct{ key, en, de string }

// effects are the keys that matter for privacy. Each of them changes something in the sections of a report.
func effects() []effect {
	return slices.Concat(serviceEffects(), verifyEffects(), contentEffects(), quarantineEffects())
}

// serviceEffects are about the log and the daemon.
func serviceEffects() []effect {
	return []effect{
		{"log.privacy", "How much of persons the log shows.", "Wie viel von Personen das Protokoll zeigt."},
		{"log.level", "Which lines there are at all.", "Welche Zeilen es überhaupt gibt."},
		{"log.format", "Where the log goes, and in which form.", "Wohin das Protokoll geht, und in welcher Form."},
		{"log.pseudonym_key", "Where the key of pseudonyms is kept.", "Wo der Schlüssel der Pseudonyme liegt."},
		{"log.pseudonym_rotation", "After which time pseudonyms become anonymous.", "Nach welcher Zeit Pseudonyme anonym werden."},
		{"listen.milter", "From where messages are taken.", "Woher Nachrichten angenommen werden."},
		{"listen.socket_mode", "Who may connect to unix sockets.", "Wer sich mit Unix-Sockets verbinden darf."},
		{"listen.socket_group", "Which group may connect to unix sockets.", "Welche Gruppe sich mit Unix-Sockets verbinden darf."},
		{"listen.metrics", "Where figures can be read.", "Wo Kennzahlen gelesen werden können."},
		{"listen.control", "Where the daemon is controlled.", "Wo der Dienst gesteuert wird."},
		{"trust.networks", "Whose mail is not checked.", "Wessen Post nicht geprüft wird."},
		{"resolver.servers", "Who learns names from DNS questions.", "Wer Namen aus DNS-Anfragen erfährt."},
		{"resolver.cache_entries", "Whether DNS answers are remembered.", "Ob DNS-Antworten gemerkt werden."},
		{"resolver.cache_max_ttl", "How long DNS answers are remembered.", "Wie lange DNS-Antworten gemerkt werden."},
		{"resolver.serve_stale", "How long expired DNS answers are kept.", "Wie lange abgelaufene DNS-Antworten bleiben."},
		{"limits.memory", "From which size on a message is in a temporary file.", "Ab welcher Größe eine Nachricht in einer temporären Datei liegt."},
		{"headers.prefix", "How the fields with results are called.", "Wie die Kopfzeilen mit Ergebnissen heißen."},
		{"headers.summary", "Whether the recipient is told in a sentence.", "Ob der Empfänger einen Satz dazu liest."},
		{"headers.result", "Whether filters are told.", "Ob Filter das Ergebnis erfahren."},
	}
}

// verifyEffects are about the checks.
func verifyEffects() []effect {
	return []effect{
		{"verify.spf.explanations", "Whether explanations are asked for in the DNS.", "Ob Erläuterungen im DNS abgefragt werden."},
		{"verify.dmarc.reports.send", "Whether owners of domains get reports.", "Ob Inhaber von Domains Berichte erhalten."},
		{"verify.dmarc.reports.from", "Which address reports come from.", "Von welcher Adresse Berichte kommen."},
		{"verify.dmarc.reports.dir", "Where results wait for their report.", "Wo Ergebnisse auf ihren Bericht warten."},
		{"verify.dmarc.reports.retention", "How long they are kept after that.", "Wie lange sie danach bleiben."},
		{"verify.dmarc.reports.exclude", "Who gets no reports.", "Wer keine Berichte erhält."},
		{"verify.dmarc.reports.key_file", "Which key signs reports.", "Welcher Schlüssel Berichte signiert."},
		{"verify.arc.seal.domain", "Whether results are passed on under a seal.", "Ob Ergebnisse mit Siegel weitergegeben werden."},
		{"verify.arc.seal.key_file", "Which key seals.", "Welcher Schlüssel siegelt."},
		{"verify.smime.revocation", "Whether revocation of certificates is asked for.", "Ob die Sperrung von Zertifikaten geprüft wird."},
		{"verify.smime.fetch", "Whether hosts in the Internet are asked for certificates.", "Ob Rechner im Internet nach Zertifikaten gefragt werden."},
		{"verify.smime.fetch_hosts", "Which hosts may be asked.", "Welche Rechner gefragt werden dürfen."},
		{"verify.smime.cache", "Where fetched certificates are kept.", "Wo abgerufene Zertifikate liegen."},
		{"verify.smime.harvest", "Whether certificates of senders are collected.", "Ob Zertifikate von Absendern gesammelt werden."},
	}
}

// contentEffects are about what is inside, rules, and who is told.
func contentEffects() []effect {
	return []effect{
		{"scan.files.passwords_file", "Which passwords are tried on attachments.", "Welche Passwörter an Anhängen probiert werden."},
		{"scan.files.guesses", "Whether words of the mail are tried as passwords.", "Ob Wörter der Nachricht als Passwort probiert werden."},
		{"scan.smime.keys", "Whether encrypted mail is opened.", "Ob verschlüsselte Post geöffnet wird."},
		{"scan.smime.deliver", "Whether opened mail is delivered opened.", "Ob geöffnete Post geöffnet zugestellt wird."},
		{"scan.virus.clamd", "Which ClamAV is given messages.", "Welcher ClamAV Nachrichten erhält."},
		{"scan.virus.icap", "Which ICAP services are given messages.", "Welche ICAP-Dienste Nachrichten erhalten."},
		{"rules.dirs", "By which rules is decided.", "Nach welchen Regeln entschieden wird."},
		{"rules.state", "Where former rules are kept.", "Wo frühere Regeln liegen."},
		{"notify.mail", "Who is told about messages by mail.", "Wer per E-Mail von Nachrichten erfährt."},
		{"notify.webhook", "Which services are told about messages.", "Welche Dienste von Nachrichten erfahren."},
		{"notify.smtp", "By which server notifications are sent.", "Über welchen Server Benachrichtigungen gehen."},
	}
}

// quarantineEffects are about mail that is kept.
func quarantineEffects() []effect {
	return []effect{
		{"quarantine.mode", "Where quarantined mail is kept.", "Wo Post in Quarantäne liegt."},
		{"quarantine.dir", "In which directory it is stored.", "In welchem Verzeichnis sie liegt."},
		{"quarantine.mailbox", "Which mailbox gets it.", "Welches Postfach sie erhält."},
		{"quarantine.release_class", "Who may release it.", "Wer sie freigeben darf."},
		{"quarantine.retention", "How long it is kept.", "Wie lange sie bleibt."},
		{"quarantine.originals", "How long originals of changed mail are kept.", "Wie lange Originale veränderter Post bleiben."},
		{"quarantine.audit", "How long accesses and releases are on record.", "Wie lange Zugriffe und Freigaben vermerkt bleiben."},
		{"quarantine.token_key_file", "Which key marks released mail.", "Welcher Schlüssel freigegebene Post kennzeichnet."},
		{"quarantine.notify_recipients", "Whether recipients are told about quarantined mail.", "Ob Empfänger von Post in Quarantäne erfahren."},
		{"quarantine.notify_subject", "Whether they are told the subject.", "Ob sie den Betreff erfahren."},
		{"quarantine.sendmail", "By which program released mail is sent.", "Mit welchem Programm freigegebene Post geht."},
		{"quarantine.smtp", "By which server released mail is sent.", "Über welchen Server freigegebene Post geht."},
	}
}
