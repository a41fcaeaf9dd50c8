package config

import (
	"net/netip"
	"slices"
	"time"

	"assay/milter"
)

// rows is the table of keys: everything a configuration may hold, in the order of the example file. The decoder, the
// defaults, the documentation, the JSON Schema and the example file all come from here.
func rows() []*key {
	var all []*key
	for _, part := range [][]*key{listenRows(), resolverRows(), trustRows(), limitRows(), headerRows(), verifyRows(), rulesRows(), scanRows(), fileRows(), virusRows(), unscannedRows(), decryptionRows(), notifyRows(), quarantineRows(), otherRows(), logRows(), healthRows()} {
		all = append(all, part...)
	}
	return all
}

// listenRows are the keys about who Assay is and where it listens.
func listenRows() []*key {
	return []*key{
		newKey("format", integer(1, 1), 1, func(c *Config) *int { return &c.Format },
			"Version of this file's format."),
		newSection("listen", "Where Assay can be reached."),
		newKey("listen.milter", list[milter.ListenAddress]{listener()},
			[]milter.ListenAddress{{Network: "tcp4", Address: "127.0.0.1:8894"}},
			func(c *Config) *[]milter.ListenAddress { return &c.Listen.Milter },
			"Where the MTA finds the milter, one listener or a list: inet:HOST:PORT, inet6:[::1]:PORT, unix:/PATH, or "+
				"fd:NAME for a socket that systemd hands over (FileDescriptorName=NAME). The protocol has no authentication: "+
				"listen on loopback or on a protected network only."),
		newKey("listen.socket_mode", fileMode(), 0o660, func(c *Config) *uint32 { return &c.Listen.SocketMode },
			"Permissions of unix sockets."),
		newKey("listen.socket_group", text(), "", func(c *Config) *string { return &c.Listen.SocketGroup },
			"Group of unix sockets, by name or number, such as postfix. Empty keeps the group of the process."),
		newKey("listen.metrics", hostPort(), "", func(c *Config) *string { return &c.Listen.Metrics },
			"HOST:PORT that serves Prometheus metrics at /metrics over HTTP, and the state of the daemon at /livez and /readyz "+
				"(also /healthz). Empty switches all of it off."),
		newKey("listen.control", optional(directory()), "/run/assay/control.sock", func(c *Config) *string { return &c.Listen.Control },
			"Unix socket for assay ctl. Only root and the user that Assay runs as may change something through it. Empty "+
				"switches it off."),
		newSection("identity", "Who Assay speaks for."),
		newKey("identity.authserv_id", authservID(), "", func(c *Config) *string { return &c.Identity.AuthservID },
			"The authserv-id in Authentication-Results (RFC 8601 Section 2.5): a full host name with a dot and without a "+
				"version number. Empty takes the name the MTA gives itself (its j macro, myhostname in Postfix)."),
		newKey("identity.domains", list[string]{domain()}, nil, func(c *Config) *[]string { return &c.Identity.Domains },
			"The organization's own mail domains. Rules use them; the checks do not."),
	}
}

// resolverRows are the keys about the DNS.
func resolverRows() []*key {
	return []*key{
		newSection("resolver", "How the DNS is asked."),
		newKey("resolver.servers", list[string]{server()}, nil, func(c *Config) *[]string { return &c.Resolver.Servers },
			"Addresses of the DNS servers, IP or IP:PORT, asked in this order. Empty takes those in /etc/resolv.conf. A "+
				"resolver on the same host is best."),
		newKey("resolver.timeout", duration(100*time.Millisecond, 2*time.Minute), 8*time.Second,
			func(c *Config) *time.Duration { return &c.Resolver.Timeout },
			"How long one question may take, all tries and servers together. Without an answer by then it is temperror."),
		newKey("resolver.retry", duration(10*time.Millisecond, 30*time.Second), 700*time.Millisecond,
			func(c *Config) *time.Duration { return &c.Resolver.Retry },
			"A question without an answer is sent again after this long, to the next server; at most a quarter of "+
				"resolver.timeout."),
		newKey("resolver.cache_entries", integer(0, 10_000_000), 65536, func(c *Config) *int { return &c.Resolver.CacheEntries },
			"How many answers are remembered. 0 switches the cache off."),
		newKey("resolver.cache_memory", size(1<<20, 16<<30), 64<<20, func(c *Config) *int64 { return &c.Resolver.CacheMemory },
			"How much memory remembered answers may take, roughly."),
		newKey("resolver.cache_max_ttl", duration(time.Second, 7*24*time.Hour), 24*time.Hour,
			func(c *Config) *time.Duration { return &c.Resolver.CacheMaxTTL },
			"How long an answer is remembered at most, whatever its TTL."),
		newKey("resolver.negative_ttl", duration(0, 24*time.Hour), time.Hour,
			func(c *Config) *time.Duration { return &c.Resolver.NegativeTTL },
			"How long the absence of a record is remembered at most (RFC 2308)."),
		newKey("resolver.serve_stale", duration(0, 7*24*time.Hour), 0,
			func(c *Config) *time.Duration { return &c.Resolver.ServeStale },
			"How long an expired answer may still be used when no server answers (RFC 8767). 0s never uses one."),
		newKey("resolver.trust_ad", boolean(), false, func(c *Config) *bool { return &c.Resolver.TrustAD },
			"Believe the servers when they say that an answer is validated by DNSSEC (AD bit). Right only when the way to "+
				"the servers is safe, as on the same host."),
	}
}

// trustRows are the keys about trusted neighbours.
func trustRows() []*key {
	return []*key{
		newSection("trust", "Whose mail is not checked, and whose results are believed. Authenticated clients and local "+
			"submission are always trusted; forged header fields are removed from their mail all the same."),
		newKey("trust.networks", list[netip.Prefix]{prefix()}, nil, func(c *Config) *[]netip.Prefix { return &c.Trust.Networks },
			"Networks in CIDR notation whose SMTP clients are not checked, such as own relays. Loopback is not among them "+
				"unless it is named."),
		newKey("trust.upstream", list[netip.Prefix]{prefix()}, nil, func(c *Config) *[]netip.Prefix { return &c.Trust.Upstream },
			"Networks of hosts in front of this one that already verify mail. Their Authentication-Results are kept if the "+
				"authserv-id is in trust.authserv_ids."),
		newKey("trust.authserv_ids", list[string]{domain()}, nil, func(c *Config) *[]string { return &c.Trust.AuthservIDs },
			"The authserv-ids that hosts in trust.upstream write."),
	}
}

// limitRows are the keys about limits.
func limitRows() []*key {
	return []*key{
		newSection("limits", "What one message, and all messages together, may cost. A message beyond a limit is refused "+
			"or deferred, never passed unchecked."),
		newKey("limits.message", size(64<<10, 4<<30), 64<<20, func(c *Config) *int64 { return &c.Limits.Message },
			"Largest message body in octets. Keep it at or above message_size_limit of the MTA."),
		newKey("limits.on_message", choice(LimitTempFail, LimitReject), LimitTempFail, func(c *Config) *LimitAction { return &c.Limits.OnMessage },
			"What happens to a message beyond limits.message: tempfail (451), or reject (552). A message beyond a limit of "+
				"its header is always rejected: it does not get better."),
		newKey("limits.header_fields", integer(50, 20_000), 2000, func(c *Config) *int { return &c.Limits.HeaderFields },
			"Most header fields of a message."),
		newKey("limits.header_bytes", size(16<<10, 16<<20), 1<<20, func(c *Config) *int64 { return &c.Limits.HeaderBytes },
			"Largest header of a message."),
		newKey("limits.removals", integer(1, 1000), 100, func(c *Config) *int { return &c.Limits.Removals },
			"Most header fields that are removed from one message; one with more is refused as hostile. Postfix needs "+
				"quadratic time for removals."),
		newKey("limits.memory", size(4<<10, 1<<30), 1<<20, func(c *Config) *int64 { return &c.Limits.Memory },
			"How much of one message is held in memory; the rest is spooled to an unlinked temporary file."),
		newKey("limits.mime_parts", integer(10, 100_000), 1000, func(c *Config) *int { return &c.Limits.MIMEParts },
			"Most MIME parts that are indexed."),
		newKey("limits.mime_depth", integer(2, 100), 20, func(c *Config) *int { return &c.Limits.MIMEDepth },
			"Deepest nesting of MIME parts that is indexed."),
		newKey("limits.recipients", integer(1, 1_000_000), 10_000, func(c *Config) *int { return &c.Limits.Recipients },
			"Most recipients of a message; further ones are answered 452."),
		newKey("limits.signatures", integer(1, 100), 10, func(c *Config) *int { return &c.Limits.Signatures },
			"Most DKIM signatures of a message that are verified, those of the author's domain first."),
		newKey("limits.dns_queries", integer(10, 1000), 100, func(c *Config) *int { return &c.Limits.DNSQueries },
			"Most DNS questions for one message. What is left open is temperror."),
		newKey("limits.dns_time", duration(100*time.Millisecond, 4*time.Minute), 20*time.Second,
			func(c *Config) *time.Duration { return &c.Limits.DNSTime },
			"How long all DNS questions of one message may take together. What is left open is temperror. When it is not set "+
				"it is at most half of limits.time."),
		newKey("limits.time", duration(time.Second, 4*time.Minute), time.Minute,
			func(c *Config) *time.Duration { return &c.Limits.Time },
			"How long the work on one message may take. The message is deferred then."),
		newKey("limits.connections", integer(1, 100_000), 1000, func(c *Config) *int { return &c.Limits.Connections },
			"Most connections from the MTA at a time; further ones wait. An idle SMTP client holds one. When all are taken, the "+
				"one that has been without a message for longest is closed, and the log says so."),
		newKey("limits.concurrent", integer(0, 10_000), 0, func(c *Config) *int { return &c.Limits.Concurrent },
			"Most messages that are worked on at a time; further ones wait. 0 takes eight per CPU, at least 16: the work is "+
				"mostly waiting for DNS."),
		newKey("limits.drain", duration(0, 10*time.Minute), 30*time.Second,
			func(c *Config) *time.Duration { return &c.Limits.Drain },
			"How long messages in work may take to finish when Assay is stopped."),
	}
}

// headerRows are the keys about header fields.
func headerRows() []*key {
	return []*key{
		newSection("headers", "What is written into delivered messages and what is taken out."),
		newKey("headers.strip_authentication_results", choice(StripAll, StripOwn, StripList), StripAll,
			func(c *Config) *StripMode { return &c.Headers.Strip },
			"Which Authentication-Results fields of incoming mail are removed: all; own, those with our authserv-id; or "+
				"list, those and the ones in headers.strip_ids. Fields that cannot be parsed are always removed, because "+
				"mail clients that cannot parse them either may believe them."),
		newKey("headers.strip_ids", list[string]{domain()}, nil, func(c *Config) *[]string { return &c.Headers.StripIDs },
			"Further authserv-ids whose fields are removed in the mode list."),
		newKey("headers.prefix", headerPrefix(), "X-Assay", func(c *Config) *string { return &c.Headers.Prefix },
			"Beginning of the names of our own header fields. Incoming fields with it are removed."),
		newKey("headers.summary", boolean(), true, func(c *Config) *bool { return &c.Headers.Summary },
			"Add PREFIX-Summary, one sentence for people."),
		newKey("headers.result", boolean(), true, func(c *Config) *bool { return &c.Headers.Result },
			"Add PREFIX-Result, one line for filters such as Sieve."),
		newKey("headers.language", choice(English, German), English, func(c *Config) *Language { return &c.Headers.Language },
			"Language of the summary: en or de."),
	}
}

// verifyRows are the keys about the checks.
func verifyRows() []*key {
	return slices.Concat(protocolRows(), dmarcReportRows(), arcRows(), sealRows(), clientRows(), smimeRows())
}

// protocolRows are the keys about SPF, DKIM and DMARC.
func protocolRows() []*key {
	return []*key{
		newSection("verify", "The checks."),
		newSection("verify.spf", "SPF (RFC 7208)."),
		newKey("verify.spf.explanations", boolean(), true, func(c *Config) *bool { return &c.Verify.SPF.Explanations },
			"Fetch the explanation that a domain publishes for fail (exp=), which costs DNS questions."),
		newSection("verify.dkim", "DKIM (RFC 6376)."),
		newKey("verify.dkim.min_bits", integer(1024, 4096), 1024, func(c *Config) *int { return &c.Verify.DKIM.MinBits },
			"Smallest RSA key that can pass (RFC 8301 Section 3.2)."),
		newKey("verify.dkim.body_length", choice(BodyLengthPolicy, BodyLengthWhole, BodyLengthAccept), BodyLengthPolicy,
			func(c *Config) *BodyLength { return &c.Verify.DKIM.BodyLength },
			"What a signature with a body length limit (l=) is worth, because anybody can append to such a message: "+
				"policy, it never passes; whole, it passes if it covers the whole body; accept, it passes."),
		newKey("verify.dkim.clock_skew", duration(0, 24*time.Hour), 5*time.Minute,
			func(c *Config) *time.Duration { return &c.Verify.DKIM.ClockSkew },
			"How far the clocks of signers may be off."),
		newKey("verify.dkim.duplicates", choice(DuplicatesPolicy, DuplicatesAccept), DuplicatesPolicy,
			func(c *Config) *Duplicates { return &c.Verify.DKIM.Duplicates },
			"What a signature is worth when a field that must be unique, such as From or Subject, occurs more often than "+
				"it is signed, because a reader may see the other one: policy, it does not pass; accept, it passes."),
		newKey("verify.dkim.future", choice(FutureAccept, FuturePolicy), FutureAccept,
			func(c *Config) *Future { return &c.Verify.DKIM.Future },
			"What a signature is worth whose time lies in the future: accept, it passes; policy, it does not."),
		newSection("verify.dmarc", "DMARC (RFC 9989)."),
		newKey("verify.dmarc.enforce", boolean(), false, func(c *Config) *bool { return &c.Verify.DMARC.Enforce },
			"Refuse messages that fail DMARC when the owner of the domain in From asks for it, unless a trusted forwarder or a known "+
				"list vouches for them. It is short for enforcing the rule dmarc-reject and one more for messages that bear a sign of "+
				"forwarding; rules of your own can hold those instead. Otherwise the rules only report them, and they are delivered and "+
				"marked as forged."),
		newKey("verify.dmarc.discovery", choice(TreeWalk, PSL, Both), TreeWalk,
			func(c *Config) *Discovery { return &c.Verify.DMARC.Discovery },
			"How the organizational domain is found: treewalk (RFC 9989), psl (the public suffix list of RFC 7489), or "+
				"both, which decides by the tree walk and says where the list differs."),
		newKey("verify.dmarc.overrides", table[Override]{domain(), choice(OverrideNone, OverrideQuarantine, OverrideReject)}, nil,
			func(c *Config) *map[string]Override { return &c.Verify.DMARC.Overrides },
			"Policies that replace the published ones, by author domain, subdomains included: {example.com: none}. "+
				"none, quarantine or reject."),
	}
}

// arcRows are the keys about ARC.
func arcRows() []*key {
	return []*key{
		newSection("verify.arc", "ARC (RFC 8617)."),
		newKey("verify.arc.trusted_sealers", list[string]{domain()}, nil,
			func(c *Config) *[]string { return &c.Verify.ARC.TrustedSealers },
			"Domains (d= of the seal) of forwarders whose word is taken for what they saw. None by default."),
	}
}

// clientRows are the keys about the client.
func clientRows() []*key {
	return []*key{
		newSection("verify.iprev", "Name of the client's address (RFC 8601 Section 3)."),
		newKey("verify.iprev.names", integer(1, 100), 10, func(c *Config) *int { return &c.Verify.IPRev.Names },
			"Most names of an address that are looked at."),
	}
}

// otherRows are the keys of the short sections.
func otherRows() []*key {
	return []*key{
		newKey("on_error", choice(TempFail), TempFail, func(c *Config) *OnError { return &c.OnError },
			"What happens to a message that Assay cannot process: tempfail, the sending side keeps it and tries again. "+
				"There is no accept, which would deliver unchecked mail, and no reject, which would lose mail over a "+
				"fault of ours."),
	}
}
