package privacy

import (
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"assay/cmd/internal/config"
)

func plain(n int64) string { return strconv.FormatInt(n, 10) }

// processing says what is processed and why.
func (w *writer) processing() Section {
	s := Section{ID: "processing", Title: w.t("What is processed, and why", "Was verarbeitet wird und wozu")}
	s.Rows = append(s.Rows,
		w.row(w.t("Envelope and connection", "Umschlag und Verbindung"), w.t(
			"Address and name of the sending host, encryption, addresses of sender and recipients, name of an authenticated user. To verify that "+
				"the sender may use its address (SPF, reverse name) and to apply rules. Mail of authenticated users and of the networks in "+
				"trust.networks ("+w.list("trust.networks")+") is not checked.",
			"Adresse und Name des sendenden Rechners, Verschlüsselung, Adressen von Absender und Empfängern, Name eines angemeldeten Benutzers. Um zu "+
				"prüfen, ob der Absender seine Adresse benutzen darf (SPF, Rückwärtsauflösung), und um Regeln anzuwenden. Post angemeldeter Benutzer "+
				"und der Netze in trust.networks ("+w.list("trust.networks")+") wird nicht geprüft."), "trust.networks"),
		w.row(w.t("Header", "Kopf der Nachricht"), w.t(
			"All header fields, the subject among them. To verify signatures (DKIM, ARC), the domain of the author (DMARC), and to find forged results.",
			"Alle Kopfzeilen, auch der Betreff. Um Signaturen (DKIM, ARC) und die Domain des Autors (DMARC) zu prüfen und gefälschte Prüfergebnisse zu finden.")),
		w.row(w.t("Content and attachments", "Inhalt und Anhänge"), w.t(
			"The text and every attachment, opened by programs without a person reading them. To find active content, malware and what cannot be "+
				"inspected. "+w.passwords(),
			"Der Text und jeder Anhang, geöffnet durch Programme, ohne dass ein Mensch sie liest. Um aktive Inhalte, Schadsoftware und nicht "+
				"Prüfbares zu finden. "+w.passwords()), "scan.files.passwords_file", "scan.files.guesses"),
		w.row(w.t("Encrypted mail", "Verschlüsselte Post"), w.opened(), "scan.smime.keys", "scan.smime.deliver"),
		w.row(w.t("Certificates", "Zertifikate"), w.t(
			"Names and addresses in the certificates of S/MIME signatures, to say who has signed. Revocation: "+w.value("verify.smime.revocation")+".",
			"Namen und Adressen in den Zertifikaten von S/MIME-Signaturen, um zu sagen, wer unterschrieben hat. Sperrprüfung: "+
				w.value("verify.smime.revocation")+"."), "verify.smime.revocation"),
		w.row(w.t("Results in the message", "Ergebnisse in der Nachricht"), w.t(
			"What was found is written into the header of the delivered mail, for its recipient and for filters: ",
			"Was gefunden wurde, steht im Kopf der zugestellten Nachricht, für ihren Empfänger und für Filter: ")+joined(w.fields())+".",
			"headers.prefix", "headers.summary", "headers.result", "verify.arc.seal.domain"),
		w.row(w.t("Automated decisions", "Automatisierte Entscheidungen"), w.t(
			"Rules decide whether a message is delivered, marked, changed, deferred, quarantined or refused. They judge messages, not persons; no profile "+
				"of a person is made, and no history of correspondents is kept. The rules are in ",
			"Regeln entscheiden, ob eine Nachricht zugestellt, gekennzeichnet, verändert, vertagt, in Quarantäne gelegt oder abgewiesen wird. Sie "+
				"beurteilen Nachrichten, keine Personen; es entsteht kein Profil einer Person und kein Verlauf von Kontakten. Die Regeln stehen in ")+
			joined(w.c.Rules.Dirs)+".", "rules.dirs"))
	return s
}

// list shows a list, or that it is empty.
func (w *writer) list(key string) string {
	if v := w.value(key); v != "[]" && v != `""` && v != "{}" {
		return strings.Trim(v, "[]")
	}
	return w.t("none", "keine")
}

// passwords says whether encrypted attachments are tried to be opened.
func (w *writer) passwords() string {
	var parts []string
	if p := w.c.Scan.Files.PasswordsFile; p != "" {
		parts = append(parts, w.t("passwords in ", "Passwörter aus ")+p)
	}
	if n := w.c.Scan.Files.Guesses; n > 0 {
		parts = append(parts, w.t("up to "+plain(int64(n))+" words of the mail itself", "bis zu "+plain(int64(n))+" Wörter der Nachricht selbst"))
	}
	if len(parts) == 0 {
		return w.t("Encrypted attachments are not opened.", "Verschlüsselte Anhänge werden nicht geöffnet.")
	}
	return w.t("On encrypted attachments are tried: ", "An verschlüsselten Anhängen wird probiert: ") + joined(parts) + "."
}

// opened says whether encrypted mail is opened.
func (w *writer) opened() string {
	if len(w.c.Scan.Decryption.Keys) == 0 {
		return w.t("Mail that is encrypted from person to person (S/MIME, OpenPGP) is not opened: there are no keys.",
			"Von Person zu Person verschlüsselte Post (S/MIME, OpenPGP) wird nicht geöffnet: Es gibt keine Schlüssel.")
	}
	text := w.t("S/MIME mail is opened at the gateway, to check it, with the keys in ", "S/MIME-Post wird am Gateway geöffnet, um sie zu prüfen, mit den Schlüsseln in ") +
		joined(w.c.Scan.Decryption.Keys) + ". "
	if w.c.Scan.Decryption.Deliver == config.DeliverOpened {
		return text + w.t("It is delivered opened: further programs and mailboxes see its content.",
			"Sie wird geöffnet zugestellt: Weitere Programme und Postfächer sehen den Inhalt.")
	}
	return text + w.t("It is delivered as it came.", "Sie wird zugestellt, wie sie kam.")
}

// fields names the fields of the header that are written.
func (w *writer) fields() []string {
	h := w.c.Headers
	names := []string{"Authentication-Results"}
	if h.Summary {
		names = append(names, h.Prefix+"-Summary")
	}
	if h.Result {
		names = append(names, h.Prefix+"-Result")
	}
	if d := w.c.Verify.ARC.Seal.Domain; d != "" {
		names = append(names, "ARC-Seal ("+d+")")
	}
	return names
}

// log says what the log holds.
func (w *writer) log() Section {
	s := Section{ID: "log", Title: w.t("What the log says about a message", "Was das Protokoll über eine Nachricht sagt")}
	level := w.c.Log.Privacy
	people := map[config.Privacy]string{
		config.PrivacyFull: w.t("Addresses of the author, the sender and all recipients, the user's name, address and name of the sending host.",
			"Adressen von Autor, Absender und allen Empfängern, Benutzername, Adresse und Name des sendenden Rechners."),
		config.PrivacyDomainOnly: w.t(
			"Domains of author and recipients (from_domain, rcpt_domains), the network of the sending host (/24 or /48, client), and pseudonyms of "+
				"author, recipients and user (from_pid, rcpt_pids, user_pid). A pseudonym is a keyed hash of the address: whoever has the key can tell "+
				"whether a line is about a known address; nobody can compute the address from it.",
			"Domains von Autor und Empfängern (from_domain, rcpt_domains), das Netz des sendenden Rechners (/24 oder /48, client) und Pseudonyme von Autor, "+
				"Empfängern und Benutzer (from_pid, rcpt_pids, user_pid). Ein Pseudonym ist ein mit einem Schlüssel gebildeter Hashwert der Adresse: Wer den "+
				"Schlüssel hat, kann feststellen, ob eine Zeile eine bekannte Adresse betrifft; die Adresse lässt sich daraus nicht berechnen."),
		config.PrivacyMinimal: w.t("Nothing: no address, no domain, no network, no pseudonym.", "Nichts: keine Adresse, keine Domain, kein Netz, kein Pseudonym."),
	}
	s.Rows = append(s.Rows, w.row(w.t("Persons (level "+string(level)+")", "Personen (Stufe "+string(level)+")"), people[level], "log.privacy"))
	rest := w.t("Queue id, results of the checks, what was decided and by which rules, size, number of parts, duration, names of malware.",
		"Kennung der Warteschlange, Ergebnisse der Prüfungen, die Entscheidung und ihre Regeln, Größe, Zahl der Teile, Dauer, Namen von Schadsoftware.")
	if level != config.PrivacyMinimal {
		rest += " " + w.t("SHA-256 of attachments that are malicious or could not be inspected.",
			"SHA-256 von Anhängen, die schädlich sind oder nicht geprüft werden konnten.")
	}
	switch w.c.Log.Level {
	case config.LevelWarn, config.LevelError:
		rest = w.t("At level "+string(w.c.Log.Level)+" there is no line for ordinary messages, only for failures: ",
			"Auf Stufe "+string(w.c.Log.Level)+" gibt es keine Zeile für gewöhnliche Nachrichten, nur für Fehler: ") + rest
	case config.LevelDebug:
		rest += " " + w.t("At level debug also a line for messages that were given up.", "Auf Stufe debug auch eine Zeile für abgebrochene Nachrichten.")
	}
	s.Rows = append(s.Rows, w.row(w.t("Everything else", "Alles Übrige"), rest, "log.level", "log.privacy"))
	if level == config.PrivacyDomainOnly {
		s.Rows = append(s.Rows, w.row(w.t("Key of the pseudonyms", "Schlüssel der Pseudonyme"), w.pseudonyms(), "log.pseudonym_key", "log.pseudonym_rotation"))
	}
	format := w.t("to standard error, as ", "auf die Standardfehlerausgabe, als ") + string(w.c.Log.Format)
	if w.c.Log.Format == config.Journal {
		format = w.t("to the systemd journal, each value as a field of its own", "in das systemd-Journal, jeder Wert als eigenes Feld")
	}
	retention := w.t("not known to Assay; ask who operates the log", "Assay nicht bekannt; zu erfragen beim Betreiber des Protokolls")
	if len(w.Journal) > 0 {
		retention = w.t("settings of systemd-journald: ", "Einstellungen von systemd-journald: ") + joined(w.Journal)
	}
	s.Rows = append(s.Rows, w.row(w.t("Where it goes, and how long it is kept", "Wohin es geht und wie lange es bleibt"), w.t(
		"Assay writes no log file; lines go "+format+". How long they are kept: "+retention+".",
		"Assay schreibt keine Protokolldatei; Zeilen gehen "+format+". Aufbewahrung: "+retention+"."), "log.format"))
	return s
}

// pseudonyms says how long pseudonyms can be resolved.
func (w *writer) pseudonyms() string {
	life := w.after(w.c.Log.PseudonymRotation)
	if w.c.Log.PseudonymKey == "" {
		return w.t("In memory only. It is replaced with every restart, and after "+life+" at the latest; lines from before are anonymous then.",
			"Nur im Arbeitsspeicher. Er wird bei jedem Neustart ersetzt, spätestens nach "+life+"; ältere Zeilen sind dann anonym.")
	}
	return w.who(w.c.Log.PseudonymKey) + w.t(". Replaced and destroyed after "+life+"; lines from before are anonymous then. Look-ups (assay ctl pseudonym) are logged.",
		". Ersetzt und vernichtet nach "+life+"; ältere Zeilen sind dann anonym. Abfragen (assay ctl pseudonym) werden protokolliert.")
}

// storage says what is kept, for how long, and who may read it.
func (w *writer) storage() Section {
	s := Section{ID: "storage", Title: w.t("What is kept, where, and how long", "Was wo wie lange aufbewahrt wird")}
	add := func(subject, text string, keys ...string) { s.Rows = append(s.Rows, w.row(subject, text, keys...)) }
	add(w.t("The message while it is checked", "Die Nachricht während der Prüfung"), w.t(
		"In memory; what exceeds "+w.value("limits.memory")+" in a temporary file without a name, which no other program can open and which is gone "+
			"when the check ends, usually after less than a second.",
		"Im Arbeitsspeicher; was "+w.value("limits.memory")+" übersteigt, in einer temporären Datei ohne Namen, die kein anderes Programm öffnen kann und "+
			"die mit der Prüfung verschwindet, meist nach weniger als einer Sekunde."), "limits.memory")
	add(w.t("Quarantined mail", "Post in Quarantäne"), w.quarantine(), "quarantine.mode", "quarantine.dir", "quarantine.mailbox", "quarantine.retention",
		"quarantine.release_class", "quarantine.audit")
	add(w.t("Originals of changed mail", "Originale veränderter Post"), w.originals(), "quarantine.originals", "quarantine.dir")
	cache := w.t("Answers are remembered in memory for at most ", "Antworten bleiben im Arbeitsspeicher, höchstens ") + w.period(w.c.Resolver.CacheMaxTTL)
	if w.c.Resolver.ServeStale > 0 {
		cache += w.t(", and ", ", und ") + w.period(w.c.Resolver.ServeStale) + w.t(" more while no server answers", " länger, solange kein Server antwortet")
	}
	if w.c.Resolver.CacheEntries == 0 {
		cache = w.t("Nothing is remembered", "Nichts wird gemerkt")
	}
	add("DNS", cache+".", "resolver.cache_entries", "resolver.cache_max_ttl", "resolver.serve_stale")
	smime := w.t("Certificates and lists of revoked ones that were fetched: ", "Abgerufene Zertifikate und Sperrlisten: ")
	switch {
	case !w.c.Verify.SMIME.Fetch:
		smime += w.t("none, nothing is fetched.", "keine, es wird nichts abgerufen.")
	case w.c.Verify.SMIME.Cache == "":
		smime += w.t("in memory.", "im Arbeitsspeicher.")
	default:
		smime += w.who(w.c.Verify.SMIME.Cache) + w.t(", until they are no longer valid or space is needed.", ", bis sie ungültig sind oder der Platz gebraucht wird.")
	}
	add("S/MIME", smime, "verify.smime.fetch", "verify.smime.cache")
	harvest := w.t("Certificates of senders are not collected.", "Zertifikate von Absendern werden nicht gesammelt.")
	if dir := w.c.Verify.SMIME.Harvest; dir != "" {
		harvest = w.t("Certificates of verified senders, with their names and addresses, are collected in ",
			"Zertifikate bestätigter Absender, mit Namen und Adressen, werden gesammelt in ") + w.who(dir) +
			w.t(", and kept until somebody removes them.", "; sie bleiben, bis jemand sie löscht.")
	}
	add(w.t("Collected certificates", "Gesammelte Zertifikate"), harvest, "verify.smime.harvest")
	add(w.t("Results for DMARC reports", "Ergebnisse für DMARC-Berichte"), w.reportRows(), "verify.dmarc.reports.send", "verify.dmarc.reports.dir",
		"verify.dmarc.reports.retention")
	add(w.t("Rules that were in force", "Regeln, die in Kraft waren"), w.t("The last 20 rule sets, with who activated them and when, in ",
		"Die letzten 20 Regelsätze mit dem, der sie wann aktiviert hat, in ")+w.who(w.c.Rules.State)+". "+w.t("No mail is in there; rules may name addresses.",
		"Darin steht keine Post; Regeln können Adressen nennen."), "rules.state")
	return s
}

// quarantine says what happens to mail that rules quarantine.
func (w *writer) quarantine() string {
	q := w.c.Quarantine
	class := map[string]string{
		"user":     w.t("its recipient for himself, and operators", "der Empfänger für sich selbst, und Betreiber"),
		"operator": w.t("operators", "Betreiber"), "never": w.t("nobody", "niemand"),
	}[string(q.ReleaseClass)]
	release := w.t(" Unless a rule says otherwise it is released by: ", " Wenn eine Regel nichts anderes sagt, gibt frei: ") + class + "."
	audit := w.t(" Who has looked at a message, released or removed it, when and why, and the recipients of a release stand in audit.log in ",
		" Wer eine Nachricht angesehen, freigegeben oder gelöscht hat, wann und warum, und die Empfänger einer Freigabe stehen in audit.log in ") +
		q.Dir + w.kept(q.Audit)
	switch q.Mode {
	case config.QuarantineStore:
		return w.t("Complete, with its envelope, in ", "Vollständig, mit Umschlag, in ") + w.who(q.Dir) + w.t(", for ", ", für ") + w.period(q.Retention) +
			w.t("; then a timer removes it (assay quarantine expire).", "; danach löscht sie ein Zeitgeber (assay quarantine expire).") + release + audit
	case config.QuarantineMailbox:
		return w.t("Complete, sent to ", "Vollständig, gesendet an ") + q.Mailbox + w.t("; retention and access are those of this mailbox.",
			"; Aufbewahrung und Zugriff sind die dieses Postfachs.") + release
	}
	return w.t("In the queue of the mail server, until somebody releases or removes it. Assay keeps no copy.",
		"In der Warteschlange des Mailservers, bis jemand sie freigibt oder löscht. Assay bewahrt keine Kopie auf.") + release + audit
}

// kept says how long lines of the audit log are kept.
func (w *writer) kept(d time.Duration) string {
	if d == 0 {
		return w.t(", which Assay never removes.", ", das Assay nie löscht.")
	}
	return w.t(", for ", ", für ") + w.period(d) + "."
}

// originals says whether originals are kept.
func (w *writer) originals() string {
	if w.c.Quarantine.Originals == 0 {
		return w.t("Not kept.", "Nicht aufbewahrt.")
	}
	return w.t("Complete, in ", "Vollständig, in ") + w.who(w.c.Quarantine.Dir) + w.t(", for ", ", für ") + w.period(w.c.Quarantine.Originals) + "."
}

// reportRows says what is kept until a report is sent.
func (w *writer) reportRows() string {
	r := w.c.Verify.DMARC.Reports
	if !r.Send {
		return w.t("None are collected.", "Es werden keine gesammelt.")
	}
	return w.t("For each message of a domain that asks for reports: address of the sending host, domains, results of SPF, DKIM and DMARC, what was decided; "+
		"no person, no recipient, no subject, no time but the day. In ",
		"Zu jeder Nachricht einer Domain, die Berichte wünscht: Adresse des sendenden Rechners, Domains, Ergebnisse von SPF, DKIM und DMARC, die Entscheidung; "+
			"keine Person, kein Empfänger, kein Betreff, keine Zeit außer dem Tag. In ") + w.who(r.Dir) + w.t(", until ", ", bis ") + w.period(r.Retention) +
		w.t(" after that day. What became of each report, and the address that it went to, for 30 days.",
			" nach diesem Tag. Was aus jedem Bericht wurde und an welche Adresse er ging, für 30 Tage.")
}

// reports says who gets reports.
func (w *writer) reports() string {
	r := w.c.Verify.DMARC.Reports
	if !r.Send {
		return w.t("None are sent.", "Es werden keine versandt.")
	}
	text := w.t("Owners of domains whose DMARC record asks for them get those results by mail, summed up, once a day, from ",
		"Inhaber von Domains, deren DMARC-Eintrag darum bittet, erhalten diese Ergebnisse täglich summiert per E-Mail von ") + r.From + "."
	if len(r.Exclude) > 0 {
		text += w.t(" Except: ", " Ausgenommen: ") + joined(r.Exclude) + "."
	}
	return text
}

// access says who can see something.
func (w *writer) access() Section {
	s := Section{ID: "access", Title: w.t("Who can see it", "Wer es sehen kann")}
	add := func(subject, text string, keys ...string) { s.Rows = append(s.Rows, w.row(subject, text, keys...)) }
	var sockets []string
	for _, l := range w.c.Listen.Milter {
		if l.Network == "unix" {
			sockets = append(sockets, w.who(l.Address)+", "+w.t("mode ", "Rechte ")+w.value("listen.socket_mode")+" "+w.c.Listen.SocketGroup)
			continue
		}
		sockets = append(sockets, l.String())
	}
	add(w.t("Mail server", "Mailserver"), w.t("Hands the messages over through ", "Übergibt die Nachrichten über ")+strings.TrimSpace(joined(sockets))+".",
		"listen.milter", "listen.socket_mode", "listen.socket_group")
	metrics := w.off()
	if m := w.c.Listen.Metrics; m != "" {
		metrics = m + w.t(", without a password: counts by result, rule and time. No address, domain or content is in them.",
			", ohne Kennwort: Zahlen nach Ergebnis, Regel und Zeit. Darin steht keine Adresse, keine Domain und kein Inhalt.")
	}
	add(w.t("Figures (metrics)", "Kennzahlen (Metriken)"), metrics, "listen.metrics")
	control := w.off()
	if p := w.c.Listen.Control; p != "" {
		control = w.who(p) + w.t(": state and figures for every user of this host; changes, and looking up pseudonyms, only for root and the user of the daemon.",
			": Zustand und Zahlen für jeden Benutzer dieses Rechners; Änderungen und das Nachschlagen von Pseudonymen nur für root und den Benutzer des Dienstes.")
	}
	add(w.t("Control socket", "Steuerung"), control, "listen.control")
	file := w.t("none, defaults", "keine, Vorgaben")
	if w.Loaded.File != "" {
		file = w.who(w.Loaded.File)
	}
	add(w.t("Configuration", "Konfiguration"), file+".")
	for _, k := range []struct{ key, path string }{{"scan.files.passwords_file", w.c.Scan.Files.PasswordsFile},
		{"verify.arc.seal.key_file", w.c.Verify.ARC.Seal.KeyFile}, {"verify.dmarc.reports.key_file", w.c.Verify.DMARC.Reports.KeyFile},
		{"quarantine.token_key_file", w.c.Quarantine.TokenKeyFile}} {
		if k.path != "" {
			add(k.key, w.who(k.path)+".", k.key)
		}
	}
	for _, path := range w.c.Scan.Decryption.Keys {
		add("scan.smime.keys", w.who(path)+".", "scan.smime.keys")
	}
	return s
}

// contacts says whom Assay asks in the network.
func (w *writer) contacts() Section {
	s := Section{ID: "contacts", Title: w.t("Whom Assay asks in the network", "Wen Assay im Netz fragt")}
	add := func(subject, text string, keys ...string) { s.Rows = append(s.Rows, w.row(subject, text, keys...)) }
	servers := joined(w.c.Resolver.Servers)
	if servers == "" {
		servers = w.t("those in /etc/resolv.conf", "die in /etc/resolv.conf")
	}
	names := w.t("domains of sender and author, their keys (SELECTOR._domainkey), policies (_dmarc), the name of the sending host's address. The macros "+
		"of an SPF record may put the sender's address into a question, as its owner wants it",
		"Domains von Absender und Autor, ihre Schlüssel (SELEKTOR._domainkey), Richtlinien (_dmarc), der Name zur Adresse des sendenden Rechners. Makros "+
			"eines SPF-Eintrags können die Absenderadresse in eine Frage setzen, wie es der Inhaber der Domain will")
	if w.c.Verify.SPF.Explanations {
		names += w.t("; explanations that a domain publishes", "; Erläuterungen, die eine Domain veröffentlicht")
	}
	add("DNS", w.t("Servers: ", "Server: ")+servers+". "+w.t("Names asked for: ", "Gefragte Namen: ")+names+".", "resolver.servers", "verify.spf.explanations")
	fetch := w.off()
	if f := w.c.Verify.SMIME; f.Fetch {
		hosts := w.t("those that certificates under trusted roots name", "die in Zertifikaten unter vertrauten Wurzeln genannten")
		if len(f.FetchHosts) > 0 {
			hosts = joined(f.FetchHosts)
		}
		fetch = w.t("Certificates and lists of revoked ones by HTTP; hosts: ", "Zertifikate und Sperrlisten über HTTP; Rechner: ") + hosts +
			w.t(". The host learns that a certificate of its authority was seen, not whose.", ". Der Rechner erfährt, dass ein Zertifikat seiner Stelle gesehen wurde, nicht wessen.")
	}
	add(w.t("Fetching for S/MIME", "Abrufe für S/MIME"), fetch, "verify.smime.fetch", "verify.smime.fetch_hosts")
	scanners := append(append([]string{}, w.c.Scan.Virus.Clamd...), w.c.Scan.Virus.ICAP...)
	virus := w.t("None.", "Keine.")
	if len(scanners) > 0 {
		virus = w.t("They are given whole messages and attachments: ", "Sie erhalten ganze Nachrichten und Anhänge: ") + joined(scanners) + "."
		if away := remote(scanners); len(away) > 0 {
			virus += " " + w.t("On another host: ", "Auf einem anderen Rechner: ") + joined(away) + "."
		}
	}
	add(w.t("Virus scanners", "Virenscanner"), virus, "scan.virus.clamd", "scan.virus.icap")
	add(w.t("DMARC reports", "DMARC-Berichte"), w.reports(), "verify.dmarc.reports.send", "verify.dmarc.reports.from", "verify.dmarc.reports.exclude")
	add(w.t("Notifications", "Benachrichtigungen"), w.notifications(), "notify.mail", "notify.webhook", "notify.smtp")
	add(w.t("Notices to recipients", "Hinweise an Empfänger"), w.notices(), "quarantine.notify_recipients", "quarantine.notify_subject")
	if w.c.Quarantine.Stores() {
		way := w.c.Quarantine.Sendmail
		if w.c.Quarantine.SMTP != "" {
			way = w.c.Quarantine.SMTP
		}
		add(w.t("Released mail", "Freigegebene Post"), w.t("Is handed to ", "Wird übergeben an ")+way+".", "quarantine.sendmail", "quarantine.smtp")
	}
	add(w.t("The maker of Assay", "Hersteller von Assay"), w.t("Is never contacted: no telemetry, no licence check, no look-up in the cloud.",
		"Wird nie kontaktiert: keine Telemetrie, keine Lizenzprüfung, keine Abfrage in der Cloud."))
	return s
}

// remote returns the scanners that are not on this host.
func remote(scanners []string) []string {
	var away []string
	for _, s := range scanners {
		u, err := url.Parse(s)
		host := ""
		if rest, tcp := strings.CutPrefix(s, "tcp:"); tcp {
			host, _, _ = net.SplitHostPort(rest)
		} else if err == nil && u.Scheme != "unix" {
			host = u.Hostname()
		}
		if ip := net.ParseIP(host); host != "" && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			away = append(away, host)
		}
	}
	return away
}

// notifications says who is told about messages when a rule asks for it.
func (w *writer) notifications() string {
	n := w.c.Notify
	var parts []string
	for _, name := range keysOf(n.Mail) {
		parts = append(parts, name+": "+n.Mail[name])
	}
	for _, name := range keysOf(n.Webhook) {
		host := n.Webhook[name] // without its path, which may hold a secret
		if u, err := url.Parse(host); err == nil {
			host = u.Scheme + "://" + u.Host
		}
		parts = append(parts, name+": "+host)
	}
	if len(parts) == 0 {
		return w.t("Nobody is notified.", "Niemand wird benachrichtigt.")
	}
	return w.t("When a rule asks for it: ", "Wenn eine Regel es verlangt: ") + joined(parts) + w.t(", mail through ", ", E-Mail über ") + n.SMTP + ". " +
		w.t("They learn time, queue id, the author's domain, what was decided and by which rule; neither addresses nor subject.",
			"Sie erfahren Zeit, Kennung der Warteschlange, Domain des Autors, die Entscheidung und ihre Regel; weder Adressen noch Betreff.")
}

// notices says what recipients of quarantined mail are told.
func (w *writer) notices() string {
	if !w.c.Quarantine.NotifyRecipients {
		return w.t("Only when a rule asks for it (notify: recipients).", "Nur wenn eine Regel es verlangt (notify: recipients).") + w.subject()
	}
	return w.t("Recipients are told about quarantined mail.", "Empfänger werden über Post in Quarantäne unterrichtet.") + w.subject()
}

// subject says whether the subject is quoted.
func (w *writer) subject() string {
	if w.c.Quarantine.NotifySubject {
		return w.t(" The subject is quoted.", " Der Betreff wird genannt.")
	}
	return w.t(" The subject is not quoted.", " Der Betreff wird nicht genannt.")
}

// never says what is not done.
func (w *writer) never() Section {
	s := Section{ID: "never", Title: w.t("What is never done", "Was nie geschieht")}
	add := func(subject, text string, keys ...string) { s.Rows = append(s.Rows, w.row(subject, text, keys...)) }
	if w.c.Log.Privacy != config.PrivacyFull {
		add(w.t("Subject, text, file names", "Betreff, Text, Dateinamen"), w.t("Are in no line of the log and in no figure; error messages do not quote the mail.",
			"Stehen in keiner Zeile des Protokolls und in keiner Kennzahl; Fehlermeldungen zitieren die Nachricht nicht."), "log.privacy")
	} else {
		add(w.t("Subject, text, file names", "Betreff, Text, Dateinamen"), w.t("Are in no figure and no value of a line of the log; error messages may quote "+
			"pieces of the mail, because log.privacy is full.", "Stehen in keiner Kennzahl und in keinem Wert einer Zeile des Protokolls; Fehlermeldungen können Stücke "+
			"der Nachricht zitieren, weil log.privacy full ist."), "log.privacy")
	}
	if w.c.Log.Privacy != config.PrivacyFull {
		add(w.t("Addresses of persons", "Adressen von Personen"), w.t("Are in no line of the log. In messages of errors they are replaced.",
			"Stehen in keiner Zeile des Protokolls. In Fehlermeldungen werden sie ersetzt."), "log.privacy")
	} else {
		add(w.t("Addresses of persons", "Adressen von Personen"), w.t("Are in the log: log.privacy is full.", "Stehen im Protokoll: log.privacy ist full."), "log.privacy")
	}
	add(w.t("Passwords and private keys", "Passwörter und private Schlüssel"), w.t("Are in no line of the log and in no report.",
		"Stehen in keiner Zeile des Protokolls und in keinem Bericht."))
	add(w.t("Statistics about persons", "Auswertungen über Personen"), w.t("Are not made. Assay cannot tell how many mails somebody sends or gets, or when.",
		"Werden nicht gemacht. Assay kann nicht sagen, wie viele E-Mails jemand wann sendet oder empfängt."))
	return s
}
