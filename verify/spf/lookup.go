package spf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"assay/verify/authres"
	"assay/verify/dns"
)

// maxNames is how many mail exchangers and PTR names are looked up for one term (RFC 7208 Section 4.6.4).
const maxNames = 10

// lookup puts one question to the resolver, within the budget. No records and no error mean that there are none; an
// error is a stop with temperror (RFC 7208 Section 5). What a resolver cannot classify is temporary as well: permerror
// would blame the domain owner for it.
func lookup[T any](ctx context.Context, e *evaluation, qtype, name string,
	ask func() (dns.Answer[T], error)) ([]T, error) {
	if e.queries >= e.opt.MaxQueries {
		return nil, tempError(dns.ErrBudget, "the policy needs more than %d DNS queries", e.opt.MaxQueries)
	}
	if err := ctx.Err(); err != nil {
		return nil, tempError(err, "%s", unfinished(err))
	}
	e.queries++
	answer, err := ask()
	switch {
	case err == nil, errors.Is(err, dns.ErrNotFound):
		e.stepAnswer(qtype, name, len(answer.Records), nil)
		return answer.Records, nil
	case ctx.Err() != nil:
		return nil, tempError(ctx.Err(), "%s while asking for %s %s", unfinished(ctx.Err()), quoteName(name), qtype)
	}
	e.stepAnswer(qtype, name, 0, err)
	return nil, tempError(err, "%s %s: %s", quoteName(name), qtype, dns.Why(err))
}

func tempError(cause error, format string, args ...any) *stop {
	return &stop{result: authres.TempError, reason: fmt.Sprintf(format, args...), cause: cause}
}

// unfinished describes the end of a context.
func unfinished(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "time for the evaluation is over"
	}
	return "the evaluation was cancelled"
}

func (e *evaluation) txt(ctx context.Context, name string) ([]string, error) {
	return lookup(ctx, e, "TXT", name, func() (dns.Answer[string], error) { return e.resolver.LookupTXT(ctx, name) })
}

// addresses returns the addresses of name, of the family that was asked for.
func (e *evaluation) addresses(ctx context.Context, network, name string) ([]netip.Addr, error) {
	qtype := "A"
	if network == "ip6" {
		qtype = "AAAA"
	}
	return lookup(ctx, e, qtype, name, func() (dns.Answer[netip.Addr], error) {
		return e.resolver.LookupIP(ctx, network, name)
	})
}

func (e *evaluation) exchangers(ctx context.Context, name string) ([]dns.MX, error) {
	return lookup(ctx, e, "MX", name, func() (dns.Answer[dns.MX], error) { return e.resolver.LookupMX(ctx, name) })
}

// pointers returns the first ten PTR names of the client (RFC 7208 Section 4.6.4: the others "MUST be ignored"). They
// are asked for once. The error is dns.ErrNotFound or a stop.
func (e *evaluation) pointers(ctx context.Context) ([]string, error) {
	if e.askedPTR {
		return e.reverse, e.reverseErr
	}
	e.askedPTR = true
	names, err := lookup(ctx, e, "PTR", e.ip.String(), func() (dns.Answer[string], error) {
		return e.resolver.LookupPTR(ctx, e.ip)
	})
	if err == nil && len(names) == 0 {
		err = dns.ErrNotFound
	}
	for _, name := range names[:min(len(names), maxNames)] {
		if name = strings.TrimSuffix(name, "."); isQueryable(name) {
			e.reverse = append(e.reverse, lowerName(name))
		}
	}
	e.reverseErr = err
	return e.reverse, err
}

// validate reports whether the client is among the addresses of its PTR name. RFC 7208 Section 5.5: a DNS error means
// that the name is skipped.
func (e *evaluation) validate(ctx context.Context, name string) (bool, error) {
	if ok, known := e.validated[name]; known {
		return ok, nil
	}
	addrs, err := e.addresses(ctx, e.network(), name)
	if err != nil {
		if err := e.fatal(ctx, err); err != nil {
			return false, err
		}
	}
	ok := false
	for _, a := range addrs {
		ok = ok || a == e.ip
	}
	if e.validated == nil {
		e.validated = make(map[string]bool)
	}
	e.validated[name] = ok
	return ok, nil
}

// fatal returns err if it must end the evaluation even where RFC 7208 has DNS errors ignored: time or budget is used
// up, and the answer would depend on how far we came.
func (e *evaluation) fatal(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, dns.ErrBudget) {
		return err
	}
	return nil
}

// quoteName returns name for a person to read; quoted, if there is anything in it that a host name has not.
func quoteName(name string) string {
	for i := range len(name) {
		if c := name[i]; !isAlpha(c) && !isDigit(c) && strings.IndexByte("-_.:", c) < 0 {
			return fmt.Sprintf("%q", name)
		}
	}
	if name == "" {
		return `""`
	}
	return name
}
