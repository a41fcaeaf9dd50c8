package dmarc

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"assay/verify/dns"
)

// maxDestinations bounds the report URIs of one record that are looked at.
const maxDestinations = 10

// Destinations returns the URIs to which reports about a policy domain may be sent: those whose host belongs to the
// organization of the domain, and external ones whose host has agreed (RFC 9990 Section 3). A host that agrees may say
// another URI at the same host instead. At most ten URIs are looked at. The error joins the queries without answer: the
// URIs they were about are not returned, and may be tried again later.
func Destinations(ctx context.Context, r dns.Resolver, policyDomain string, uris []string) ([]string, error) {
	policyDomain, err := dns.Canonical(policyDomain)
	if err != nil {
		return nil, fmt.Errorf("dmarc: policy domain: %w", err)
	}
	d := newDiscoverer(r, func(string, ...any) {})
	var accepted []string
	var failed error
	for _, uri := range uris[:min(len(uris), maxDestinations)] {
		to, err := d.destination(ctx, policyDomain, uri)
		accepted = append(accepted, to...)
		failed = errors.Join(failed, err)
	}
	return accepted, failed
}

// destination returns the URIs that reports for uri go to: itself, the ones that its host asks for instead, or none.
func (d *discoverer) destination(ctx context.Context, policyDomain, uri string) ([]string, error) {
	host, ok := uriHost(uri)
	if !ok {
		return nil, nil
	}
	own, err := d.organizational(ctx, policyDomain)
	if err != nil {
		return nil, err
	}
	other, err := d.organizational(ctx, host)
	if err != nil {
		return nil, err
	}
	if own == other {
		return []string{uri}, nil
	}
	name := policyDomain + "._report._dmarc." + host
	if len(name) > maxName {
		return nil, nil
	}
	answer, err := d.resolver.LookupTXT(ctx, name)
	if errors.Is(err, dns.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("no answer for TXT %s: %w", name, err)
	}
	return agreed(uri, host, answer.Records), nil
}

// agreed returns where the records of a host say that reports for uri may go.
func agreed(uri, host string, records []string) []string {
	agreed := false
	var instead []string
	for _, txt := range records {
		record, err := ParseRecord(txt)
		if err != nil {
			continue
		}
		agreed = true
		for _, other := range record.RUA {
			if h, ok := uriHost(other); !ok || h != host {
				return nil // RFC 9990 Section 3: to neither of them
			}
			instead = append(instead, other)
		}
	}
	switch {
	case !agreed:
		return nil
	case len(instead) > 0:
		return instead[:min(len(instead), maxDestinations)]
	}
	return []string{uri}
}

// uriHost returns the host that a valid URI names: of mailto the domain of its address, otherwise that of the authority.
func uriHost(uri string) (string, bool) {
	scheme, rest, _ := strings.Cut(uri, ":")
	var host string
	if strings.EqualFold(scheme, "mailto") {
		addr, _, _ := strings.Cut(rest, "?")
		host = addr[strings.LastIndexByte(addr, '@')+1:]
	} else {
		authority, found := strings.CutPrefix(rest, "//")
		if !found {
			return "", false
		}
		if end := strings.IndexAny(authority, "/?#"); end >= 0 {
			authority = authority[:end]
		}
		host = authority[strings.LastIndexByte(authority, '@')+1:]
		host, _, _ = strings.Cut(host, ":")
	}
	name, err := dns.Canonical(host)
	return name, err == nil
}
