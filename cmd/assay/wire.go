package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"assay/cmd/internal/config"
	"assay/milter"
	"assay/milter/filter"
	"assay/milter/headers"
	"assay/milter/notice"
	"assay/rules/ruletest"
	"assay/scan"
	"assay/scan/files"
	"assay/scan/html"
	"assay/verify"
	"assay/verify/arc"
	"assay/verify/dkim"
	"assay/verify/dmarc"
	"assay/verify/dns"
	"assay/verify/iprev"
	"assay/verify/message"
	"assay/verify/smime"
	"assay/verify/smime/envelope"
	"assay/verify/smime/pki"
	"assay/verify/smime/pki/fetch"
	"assay/verify/spf"
)

// smimeCacheSize is how many octets of fetched certificates and revocation lists are kept on disk.
const smimeCacheSize = 512 << 20

// keyCacheSize is how many parsed DKIM keys are kept; parsing one costs more than finding it.
const keyCacheSize = 4096

// A resolver is shared by all messages. Closing it ends the questions under way.
type resolver struct {
	dns.Resolver
	probe   dns.Resolver // asks the servers how they are; nil where nobody asks
	closers []io.Closer
}

// Close closes the cache before the client behind it.
func (r resolver) Close() error {
	var errs []error
	for _, c := range r.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// newResolver returns the resolver of a configuration.
func newResolver(c config.Resolver, observer dns.Observer) (resolver, error) {
	client, err := dns.NewClient(dns.ClientOptions{
		Servers: c.Servers, Timeout: c.Timeout, Retry: c.Retry, TrustAD: c.TrustAD, Observer: observer,
	})
	if err != nil {
		return resolver{}, err
	}
	if c.CacheEntries == 0 {
		return resolver{client, nil, []io.Closer{client}}, nil
	}
	cache := dns.NewCache(client, dns.CacheOptions{
		Entries: c.CacheEntries, Bytes: c.CacheMemory, MaxTTL: c.CacheMaxTTL, MaxNegativeTTL: max(c.NegativeTTL, 1), // 0 would be the default
		Timeout: 2 * c.Timeout, StaleFor: c.ServeStale, Observer: observer,
	})
	return resolver{cache, nil, []io.Closer{cache, client}}, nil
}

// newVerifier returns the verifier of a configuration.
func newVerifier(c *config.Config, r dns.Resolver, s *smime.Verifier, explain bool) *verify.Verifier {
	opt := verifyOptions(c, r, explain)
	opt.SMIME = s
	return verify.New(opt)
}

// verifyOptions returns the options of a verifier.
func verifyOptions(c *config.Config, r dns.Resolver, explain bool) verify.Options {
	keys := dkim.NewKeyCache(keyCacheSize)
	return verify.Options{
		Resolver: r,
		Budget:   dns.Budget{Queries: c.Limits.DNSQueries, Time: c.Limits.DNSTime},
		SPF:      spfOptions(c),
		DKIM:     dkimOptions(c, keys),
		ARC:      arcOptions(c, keys),
		DMARC:    dmarcOptions(c),
		IPRev:    iprev.Options{Names: c.Verify.IPRev.Names, Explain: explain},
		Trusted:  c.Trust.Networks,
		Explain:  explain,
	}
}

// A signatures verifies S/MIME. Closing it ends what is being fetched.
type signatures struct {
	*smime.Verifier
	*pki.Validator
}

// newSignatures returns the verifier of S/MIME of a configuration. The error names every file of certificates that cannot
// be used.
func newSignatures(c *config.Config, explain bool) (signatures, error) {
	s := c.Verify.SMIME
	keys, err := recipientKeys(c)
	if err != nil {
		return signatures{}, err
	}
	store, err := pki.NewStore(s.PublicRoots, s.Roots, s.Intermediates)
	if err != nil {
		return signatures{}, fmt.Errorf("verify.smime: %w", err)
	}
	opt := pki.Options{Budget: s.RevocationTime, Hosts: s.FetchHosts}
	if !s.RequireEKU {
		opt.RequireEKU = pki.EKUNever
	}
	if s.Fetch {
		opt.Fetcher = fetch.New(fetch.Options{UserAgent: "assay"})
	}
	if s.Cache != "" && s.Fetch {
		cache, err := fetch.OpenDir(s.Cache, smimeCacheSize)
		if err != nil {
			return signatures{}, fmt.Errorf("verify.smime.cache: %w", err)
		}
		opt.Cache = cache
	}
	dnEmail := map[config.DNEmail]pki.DNEmail{
		config.DNEmailNever: pki.DNNever, config.DNEmailPrivate: pki.DNPrivate, config.DNEmailAlways: pki.DNAlways,
	}
	v := pki.New(store, opt)
	return signatures{smime.NewVerifier(smime.Options{
		Keys: keys, Validator: v, Revocation: smime.RevocationMode(s.Revocation), RevocationTime: s.RevocationTime, NoFetch: !s.Fetch,
		DNEmail: dnEmail[s.DNEmail], Explain: explain,
	}), v}, nil
}

// recipientKeys returns the keys that open mail. The error names every file that cannot be used.
func recipientKeys(c *config.Config) (*envelope.Keys, error) {
	keys, err := c.Scan.Decryption.Recipients()
	if err != nil {
		return nil, fmt.Errorf("scan.smime.keys: %w", err)
	}
	return keys, nil
}

// again returns the verifier with the keys as they are now.
func (s signatures) again(c *config.Config) (signatures, error) {
	keys, err := recipientKeys(c)
	if err != nil {
		return signatures{}, err
	}
	s.Verifier = s.With(keys)
	return s, nil
}

// spfOptions returns the options of SPF.
func spfOptions(c *config.Config) spf.Options {
	return spf.Options{Timeout: c.Limits.DNSTime, NoExplanation: !c.Verify.SPF.Explanations}
}

// dkimOptions returns the options of DKIM.
func dkimOptions(c *config.Config, keys *dkim.KeyCache) dkim.Options {
	lengths := map[config.BodyLength]dkim.LengthRule{
		config.BodyLengthPolicy: dkim.LengthPolicy, config.BodyLengthWhole: dkim.LengthWhole, config.BodyLengthAccept: dkim.LengthAccept,
	}
	opt := dkim.Options{
		MaxSignatures: c.Limits.Signatures, MaxParsed: max(25, c.Limits.Signatures), MinRSABits: c.Verify.DKIM.MinBits,
		ClockSkew: clockSkew(c), Length: lengths[c.Verify.DKIM.BodyLength], Keys: keys,
	}
	if c.Verify.DKIM.Duplicates == config.DuplicatesAccept {
		opt.Duplicates = dkim.DuplicatesAccept
	}
	if c.Verify.DKIM.Future == config.FuturePolicy {
		opt.Future = dkim.FuturePolicy
	}
	return opt
}

// clockSkew returns the skew as DKIM and ARC take it: 0 stands for their default, less than 0 for none.
func clockSkew(c *config.Config) time.Duration {
	if c.Verify.DKIM.ClockSkew == 0 {
		return -1
	}
	return c.Verify.DKIM.ClockSkew
}

// arcOptions returns the options of ARC.
func arcOptions(c *config.Config, keys *dkim.KeyCache) arc.Options {
	return arc.Options{
		TrustedSealers: c.Verify.ARC.TrustedSealers, MinRSABits: c.Verify.DKIM.MinBits, ClockSkew: clockSkew(c), Keys: keys,
	}
}

// dmarcOptions returns the options of DMARC.
func dmarcOptions(c *config.Config) dmarc.Options {
	opt := dmarc.Options{Discovery: dmarc.Discovery(c.Verify.DMARC.Discovery)}
	for domain, policy := range c.Verify.DMARC.Overrides {
		opt.Overrides = append(opt.Overrides, dmarc.Override{Domain: domain, Policy: dmarc.Policy(policy)})
	}
	return opt
}

// newSealer returns the sealer of a configuration, nil if sealing is off. The error says why the key cannot be used.
func newSealer(c *config.Config) (*arc.Sealer, error) {
	s, err := c.Verify.ARC.Seal.Sealer()
	if err != nil {
		return nil, fmt.Errorf("verify.arc.seal.key_file: %w", err)
	}
	return s, nil
}

// checks are what a filter checks messages with.
type checks struct {
	resolver   dns.Resolver
	smime      *smime.Verifier
	inspection *inspection
}

// filterOptions returns the options of a filter, without rules, and without the sealer: only mail that is delivered is
// sealed, so that nothing else needs the key.
func filterOptions(c *config.Config, with checks, observer filter.Observer, explain bool) (filter.Options, error) {
	var own fs.FS
	if c.Scan.Templates != "" {
		own = os.DirFS(c.Scan.Templates)
	}
	notices, err := notice.New(string(c.Headers.Language), own)
	if err != nil {
		return filter.Options{}, err
	}
	whens := map[config.NoteWhen]filter.NoteWhen{
		config.NoteOff: filter.NoteOff, config.NoteVisible: filter.NoteVisible, config.NoteAlways: filter.NoteAlways,
	}
	return filter.Options{
		Verifier: newVerifier(c, with.resolver, with.smime, explain),
		Scanners: scanners(c, with.inspection, with.smime),
		Opened:   c.Scan.Decryption.Deliver == config.DeliverOpened,
		Headers:  headerOptions(c),
		Notices:  notices,
		Note:     whens[c.Scan.HTML.Note],
		Observer: observer,
		Explain:  explain,
	}, nil
}

// scanners returns what looks into messages. Those that are encrypted as a whole are opened by s, which may be nil.
func scanners(c *config.Config, i *inspection, s *smime.Verifier) []scan.Scanner {
	forms := html.RemoveForms
	if c.Scan.HTML.Forms == config.FormsKeep {
		forms = html.KeepForms
	}
	text := &html.Scanner{Options: html.Options{Forms: forms}}
	opt := fileOptions(c, i)
	opt.Open, opt.Inside = s.Open, []scan.Scanner{text}
	return []scan.Scanner{files.New(opt), text}
}

// testOptions returns how the tests beside rules are run. They ask nobody on the network.
func testOptions(c *config.Config, now time.Time) ruletest.Options {
	offline := *c
	offline.Verify.SMIME.Fetch = false
	opt := verifyOptions(&offline, nil, false)
	if s, err := newSignatures(&offline, false); err == nil { // else the daemon does not start, and says why
		opt.SMIME = s.Verifier
	}
	return ruletest.Options{Load: ruleOptions(c, now), Verify: opt, Scanners: scanners(c, inProcess(), opt.SMIME), Limits: messageLimits(c)}
}

// headerOptions returns the options of header fields.
func headerOptions(c *config.Config) headers.Options {
	return headers.Options{
		AuthservID: c.Identity.AuthservID, Prefix: c.Headers.Prefix, Language: headers.Language(c.Headers.Language),
		NoSummary: !c.Headers.Summary, NoResult: !c.Headers.Result, Strip: headers.Strip(c.Headers.Strip),
		StripIDs: c.Headers.StripIDs, Upstream: c.Trust.Upstream, UpstreamIDs: c.Trust.AuthservIDs, MaxRemovals: c.Limits.Removals,
	}
}

// messageLimits returns the limits of one message.
func messageLimits(c *config.Config) message.Limits {
	return message.Limits{
		Fields: c.Limits.HeaderFields, HeaderOctets: int(c.Limits.HeaderBytes), BodyOctets: c.Limits.Message,
		Memory: int(c.Limits.Memory), Depth: c.Limits.MIMEDepth, Parts: c.Limits.MIMEParts,
	}
}

// serverOptions returns the options of the milter server.
func serverOptions(c *config.Config, l *slog.Logger, observer milter.Observer) milter.Options {
	opt := milter.Options{
		Message: messageLimits(c), MaxConnections: c.Limits.Connections, MaxAnalyses: c.Limits.Concurrent,
		MaxRecipients: c.Limits.Recipients, Budget: c.Limits.Time, DrainTimeout: max(c.Limits.Drain, 1),
		Logger: l, Observer: observer,
	}
	if c.Limits.OnMessage == config.LimitReject {
		opt.OnBodyLimit = milter.LimitReject
	}
	return opt
}
