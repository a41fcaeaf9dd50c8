package metrics

import (
	"slices"

	"assay/milter/store"
	"assay/rules"
	"assay/scan"
	"assay/scan/html"
	"assay/scan/virus"
	"assay/scan/worker"
	"assay/verify/authres"
	"assay/verify/dns"
	"assay/verify/message"
	"assay/verify/smime"
)

// other is the label of everything that should not occur. What no list here has must not become a label: whatever has let a
// message choose it, the number of series stays fixed and no text of a message is shown.
const other = "other"

// words are the values that a label may have.
type words []string

// of returns a value if it is one of the words.
func (w words) of(value string) string {
	if slices.Contains(w, value) {
		return value
	}
	return other
}

// list makes words of typed constants.
func list[T ~string](values ...T) words {
	all := make(words, len(values))
	for i, v := range values {
		all[i] = string(v)
	}
	return all
}

func dispositions() words {
	var all words
	for _, d := range []rules.Disposition{rules.Defer, rules.Deliver, rules.Junk, rules.Quarantine, rules.Reject} {
		all = append(all, d.String())
	}
	return all
}

func trusts() words {
	return list(rules.Verified, rules.Authenticated, rules.Unverified, rules.Suspicious, rules.Forged)
}

func results() words {
	return list(authres.None, authres.Pass, authres.Fail, authres.SoftFail, authres.Neutral, authres.Policy, authres.TempError, authres.PermError)
}

func states() words {
	return list(smime.Malformed, smime.Altered, smime.Unsupported, smime.Incomplete, smime.Unavailable, smime.Revoked, smime.Untrusted, smime.Weak,
		smime.Stale, smime.WrongSender, smime.Partial, smime.Verified, smime.Encrypted, smime.CertsOnly, smime.Compressed, smime.Unsigned)
}

func htmlKinds() words {
	return list(html.KindPart, html.KindScript, html.KindHandler, html.KindForm, html.KindFrame, html.KindObject, html.KindMedia, html.KindRefresh,
		html.KindMeta, html.KindBase, html.KindLinkHint, html.KindURL, html.KindCSS, html.KindRemote, html.KindTracker, html.KindSVG,
		html.KindTemplate, html.KindElement, html.KindAttr, html.KindComment, html.KindBroken, html.KindCharset, html.KindFallback, html.KindLimit,
		html.KindHidden, html.KindCalendar)
}

func classes() words {
	return list(scan.ClassArchive, scan.ClassDocument, scan.ClassPDF, scan.ClassOpenPGP, scan.ClassSMIME, scan.ClassDisk, scan.ClassOther,
		string(scan.Uninspectable))
}

func virusResults() words {
	return append(list(virus.Clean, virus.Infected, virus.Encrypted, virus.Uninspectable, virus.Macros), "refused", "timeout", "busy", "error")
}

func workerChanges() words {
	return list(worker.Started, worker.Failed, worker.Ended, worker.Crashed, worker.Limited, worker.Killed)
}

func workerLimits() words { return words{"", "memory", "time"} }

func dnsTypes() words { return words{"TXT", "A", "AAAA", "MX", "PTR"} }

func dnsOutcomes() words {
	return list(dns.OutcomeAnswer, dns.OutcomeNoData, dns.OutcomeNXDomain, dns.OutcomeTemporary, dns.OutcomeCanceled)
}

func dnsSources() words {
	return list(dns.SourceHit, dns.SourceMiss, dns.SourceShared, dns.SourceStale)
}

func versions() words { return words{"none", "TLSv1", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"} }

func methods() words { return words{"auth", "spf", "dkim", "arc", "dmarc", "iprev", "smime"} }

func stages() words { return words{"verify", "scan", "rules", "total"} }

func limits() words { return words{"header", "body", "time", "dns", "fields_removed", "connections"} }

func outcomes() words { return words{"ok", "error"} }

// rowCauses are why a message is missing in a DMARC aggregate report.
func rowCauses() words {
	return list(store.CauseMemory, store.CauseRows, store.CauseBytes, store.CauseLate, store.CauseInvalid, store.CauseClosed)
}

// reportResults are the ends of a DMARC aggregate report.
func reportResults() words { return words{"sent", "failed", "suppressed", "refused", "expired"} }

// tlsVersion returns the TLS version as a label: one of the known ones, "none" or "other".
func tlsVersion(t message.TLSInfo) string {
	if t.Version == "" {
		return "none"
	}
	return versions().of(t.Version)
}
