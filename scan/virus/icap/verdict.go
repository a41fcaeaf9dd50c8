package icap

import (
	"fmt"
	"slices"
	"strings"

	"assay/scan/virus"
)

// RFC 3507 has no word for malware. These fields of real services say it, in the ICAP header, in the HTTP header it
// encapsulates, or in trailers:
//
//	X-Infection-Found   Type=0; Resolution=2; Threat=NAME;   c-icap, squidclamav, Symantec, Trend Micro, ESET, Kaspersky, Bitdefender, OPSWAT
//	                    Type is 0 for malware, 1 for a policy, 2 for a container that could not be looked into
//	X-Violations-Found  a count, then per violation a line each of file, NAME, number and resolution: the same
//	X-Virus-ID          NAME                                 c-icap, squidclamav, Sophos, Trend Micro, ESET, Kaspersky ("no threats" is none), Trellix
//	X-Virus-Name        NAME                                 McAfee, Trellix
//	X-FSecure-Scan-Result, X-FSecure-Infection-Name          F-Secure, WithSecure
//	X-Blocked-Reason, X-Response-Desc, X-Block-Reason        why something was blocked, if not for malware: OPSWAT, Trellix
//	X-Response-Info     blocked                              ESET, Kaspersky, OPSWAT
//	X-Blocked           Virus found during virus scan        Sophos
//
// The first three are of draft-stecher-icap-subid-00, Sections 4.5 to 4.7.

// blocked is the name where the service gives none.
const blocked = "blocked by ICAP service"

// named returns the verdict of a name, or of a reason in its place. ok is false where the name says that there is none.
func named(name string) (v virus.Verdict, ok bool) {
	name = strings.Trim(strings.TrimSpace(name), `"`)
	v = virus.Found(name)
	switch strings.ToLower(name) {
	case "", "-", "0", "none", "clean", "no threats", "no threat":
		return virus.Verdict{}, false
	case "encrypted", "encrypted archive", "encrypted document", "encrypted file", "encrypted container", "encrypted container violation",
		"password protected", "password protected document", "password protected archive":
		v.Kind = virus.Encrypted
	case "container size violation", "container violation", "archive not supported", "exceeded archive level",
		"exceeded archive file number", "exceeded archive size", "exceeded archive timeout", "malformed container violation":
		v.Kind = virus.Uninspectable
	}
	return v, true
}

// infection returns the verdict of an X-Infection-Found field.
func infection(value string) (virus.Verdict, bool) {
	kind, name := "", value
	for part := range strings.SplitSeq(value, ";") {
		key, v, _ := strings.Cut(part, "=")
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "type":
			kind = strings.TrimSpace(v)
		case "threat":
			name = v
		}
	}
	if name == value && kind != "" {
		name = blocked
	}
	v, ok := named(name)
	if ok && kind == "2" && v.Kind == virus.Infected {
		v.Kind = virus.Uninspectable
		if strings.Contains(strings.ToLower(name), "encrypt") {
			v.Kind = virus.Encrypted
		}
	}
	return v, ok
}

// violations returns the verdicts of an X-Violations-Found field: a count, and four lines per violation.
func violations(value string) []virus.Verdict {
	lines := strings.Split(value, "\n")
	var all []virus.Verdict
	for i := 2; i < len(lines); i += 4 {
		if v, ok := named(lines[i]); ok {
			all = append(all, v)
		}
	}
	if count := strings.TrimSpace(lines[0]); len(all) == 0 && count != "0" && count != "" {
		all = append(all, virus.Verdict{Kind: virus.Infected, Name: blocked})
	}
	return all
}

// judge returns the worst that header fields say. ok is false if they say nothing, which is not to say that all is well.
func judge(f fields) (worst virus.Verdict, ok bool, err error) {
	var all []virus.Verdict
	add := func(v virus.Verdict, ok bool) {
		if ok {
			all = append(all, v)
		}
	}
	for _, value := range f["x-infection-found"] {
		add(infection(value))
	}
	for _, value := range f["x-violations-found"] {
		all = append(all, violations(value)...)
	}
	for _, field := range []string{"x-virus-id", "x-virus-name", "x-fsecure-infection-name"} {
		for _, value := range f[field] {
			add(named(value))
		}
	}
	if len(all) == 0 {
		all = reasons(f)
	}
	switch result := strings.ToLower(f.get("x-fsecure-scan-result")); {
	case result == "", result == "clean", len(all) > 0:
	case strings.Contains(result, "infected"), strings.Contains(result, "suspected"):
		all = append(all, virus.Verdict{Kind: virus.Infected, Name: blocked})
	default:
		return virus.Verdict{}, false, fmt.Errorf("%w: scan result %q", virus.ErrRefused, short(result))
	}
	if len(all) == 0 {
		return virus.Verdict{}, false, nil
	}
	rank := []virus.Kind{virus.Macros, virus.Encrypted, virus.Uninspectable, virus.Infected}
	return slices.MaxFunc(all, func(a, b virus.Verdict) int { return slices.Index(rank, a.Kind) - slices.Index(rank, b.Kind) }), true, nil
}

// reasons returns what fields say that have a reason in place of a name.
func reasons(f fields) []virus.Verdict {
	for _, field := range []string{"x-blocked-reason", "x-block-reason", "x-blocked", "x-response-desc"} {
		if v, ok := named(f.get(field)); ok {
			return []virus.Verdict{v}
		}
	}
	if strings.EqualFold(f.get("x-response-info"), "blocked") {
		return []virus.Verdict{{Kind: virus.Infected, Name: blocked}}
	}
	return nil
}

// refusal returns the error for a status that is no answer. What is no fault of the service as a whole wraps
// virus.ErrRefused: a failure of the scanner behind it may be one of this content.
func refusal(h head) error {
	switch h.status {
	case 413:
		return fmt.Errorf("%w: %q", virus.ErrTooLarge, short(h.line))
	case 500:
		return fmt.Errorf("%w: %q", virus.ErrRefused, short(h.line))
	case 404:
		return fmt.Errorf("unexpected answer %q: is the name of the service right?", short(h.line))
	}
	return fmt.Errorf("unexpected answer %q", short(h.line))
}
