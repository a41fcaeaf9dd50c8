// Package config reads Assay's configuration: one strict YAML file, and environment variables over it. One table of keys
// (keys.go) is the source of the decoder, the defaults, the documentation, the JSON Schema and the example file.
//
// Whatever is wrong is reported at once, each problem with its place, the source line and, where one is near, the word
// that was probably meant. A configuration with a problem is never used in part. There are no includes and no merging:
// what a file does not set has its default.
package config

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"assay/milter"
)

// DefaultPath is where the configuration is looked for when none is named. It need not exist.
const DefaultPath = "/etc/assay/assay.yaml"

// maxFile bounds the size of a configuration file.
const maxFile = 1 << 20

// A Config holds the value of every key. The comments are in the table of keys, which documents them for everybody.
type Config struct {
	Format     int
	Listen     Listen
	Identity   Identity
	Resolver   Resolver
	Trust      Trust
	Limits     Limits
	Headers    Headers
	Verify     Verify
	Rules      Rules
	Scan       Scan
	Notify     Notify
	Quarantine Quarantine
	OnError    OnError
	Log        Log
	Health     Health
}

// Listen says where Assay can be reached.
type Listen struct {
	Milter      []milter.ListenAddress
	SocketMode  uint32
	SocketGroup string
	Metrics     string
	Control     string
}

// Identity says who Assay speaks for.
type Identity struct {
	AuthservID string
	Domains    []string
}

// Resolver says how the DNS is asked.
type Resolver struct {
	Servers      []string
	Timeout      time.Duration
	Retry        time.Duration
	CacheEntries int
	CacheMemory  int64
	CacheMaxTTL  time.Duration
	NegativeTTL  time.Duration
	ServeStale   time.Duration
	TrustAD      bool
}

// Trust says whose mail is not checked, and whose results are kept.
type Trust struct {
	Networks    []netip.Prefix
	Upstream    []netip.Prefix
	AuthservIDs []string
}

// Limits bound what one message, and all messages together, may cost.
type Limits struct {
	Message      int64
	OnMessage    LimitAction
	HeaderFields int
	HeaderBytes  int64
	Memory       int64
	MIMEParts    int
	MIMEDepth    int
	Recipients   int
	Removals     int
	Connections  int
	Concurrent   int
	Time         time.Duration
	Drain        time.Duration
	DNSQueries   int
	DNSTime      time.Duration
	Signatures   int
}

// A LimitAction is the answer to a message that is too large.
type LimitAction string

// The answers. The zero value is treated as LimitTempFail.
const (
	LimitTempFail LimitAction = "tempfail"
	LimitReject   LimitAction = "reject"
)

// Headers says what is written into delivered messages and what is taken out.
type Headers struct {
	Strip    StripMode
	StripIDs []string
	Prefix   string
	Summary  bool
	Result   bool
	Language Language
}

// A StripMode says which inbound Authentication-Results fields are removed.
type StripMode string

// The strip modes. The zero value is treated as StripAll.
const (
	StripAll  StripMode = "all"
	StripOwn  StripMode = "own"
	StripList StripMode = "list"
)

// A Language is a language of the summary.
type Language string

// The languages. The zero value is treated as English.
const (
	English Language = "en"
	German  Language = "de"
)

// Verify configures the checks.
type Verify struct {
	SPF   SPF
	DKIM  DKIM
	DMARC DMARC
	ARC   ARC
	IPRev IPRev
	SMIME SMIME
}

// SPF configures SPF (RFC 7208).
type SPF struct {
	Explanations bool
}

// DKIM configures DKIM (RFC 6376).
type DKIM struct {
	BodyLength BodyLength
	MinBits    int
	ClockSkew  time.Duration
	Duplicates Duplicates
	Future     Future
}

// A Duplicates says what a signature means when a unique field occurs more often than it is signed.
type Duplicates string

// The treatments of duplicates. The zero value is treated as DuplicatesPolicy.
const (
	DuplicatesPolicy Duplicates = "policy"
	DuplicatesAccept Duplicates = "accept"
)

// A Future says what a signature from the future means.
type Future string

// The treatments of signatures from the future. The zero value is treated as FutureAccept.
const (
	FutureAccept Future = "accept"
	FuturePolicy Future = "policy"
)

// A BodyLength says what a body length limit (l=) in a DKIM signature means.
type BodyLength string

// The treatments of l=. The zero value is treated as BodyLengthPolicy.
const (
	BodyLengthPolicy BodyLength = "policy"
	BodyLengthWhole  BodyLength = "whole"
	BodyLengthAccept BodyLength = "accept"
)

// DMARC configures DMARC (RFC 9989).
type DMARC struct {
	Enforce   bool
	Discovery Discovery
	Overrides map[string]Override
	Reports   DMARCReports
}

// A Discovery is a way to find the organizational domain.
type Discovery string

// The ways to find the organizational domain. The zero value is treated as TreeWalk.
const (
	TreeWalk Discovery = "treewalk"
	PSL      Discovery = "psl"
	Both     Discovery = "both"
)

// An Override replaces the policy that a domain publishes.
type Override string

// The overrides.
const (
	OverrideNone       Override = "none"
	OverrideQuarantine Override = "quarantine"
	OverrideReject     Override = "reject"
)

// ARC configures ARC (RFC 8617).
type ARC struct {
	TrustedSealers []string
	Seal           Seal
}

// IPRev configures the check of the client's name (RFC 8601 Section 3).
type IPRev struct {
	Names int
}

// OnError says what happens to a message that cannot be processed.
type OnError string

// TempFail defers the message: the sending side keeps it and tries again.
const TempFail OnError = "tempfail"

// Loaded is a valid configuration and what is to be said about it.
type Loaded struct {
	Config   *Config
	File     string   // "" when there was no file
	Warnings Problems // what is allowed but probably not meant
	origins  map[string]origin
	reader   *reader // places problems that are found later
}

// Default returns the configuration of an empty file.
func Default() *Config {
	c := &Config{}
	for _, k := range keys() {
		k.reset(c)
	}
	return c
}

// Load reads the configuration file path and the overrides in environ. An empty path stands for DefaultPath, which may be
// missing. The error is of type Problems when the configuration is wrong.
func Load(path string, environ []string) (*Loaded, error) {
	name, text, err := find(path)
	if err != nil {
		return nil, err
	}
	return Parse(name, text, environ)
}

// ControlSocket returns the control socket that a configuration names, also if other things in it are wrong: a daemon goes on
// with what it has read before, and can be asked.
func ControlSocket(path string, environ []string) (string, error) {
	name, text, err := find(path)
	if err != nil {
		return "", err
	}
	return read(name, text, environ).config.Listen.Control, nil
}

// find returns name and text of the configuration file path; both are empty if there is no file and none is required.
func find(path string) (string, []byte, error) {
	required := path != ""
	if !required {
		path = DefaultPath
	}
	text, err := readFile(path)
	if os.IsNotExist(err) && !required {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, fmt.Errorf("config: %w", err)
	}
	return path, text, nil
}

// readFile reads a file of at most maxFile octets.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: larger than %s", path, showSize(maxFile))
	}
	return text, nil
}

// Parse reads the text of a configuration file and the overrides in environ. The name is used in messages; it is ""
// when there is no file. The error is of type Problems.
func Parse(name string, text []byte, environ []string) (*Loaded, error) {
	r := read(name, text, environ)
	if len(r.problems) == 0 {
		r.check()
	}
	if len(r.problems) > 0 {
		r.problems.sort()
		return nil, r.problems
	}
	loaded := &Loaded{Config: r.config, File: name, origins: r.origins, reader: r}
	r.problems = nil
	r.warn()
	r.problems.sort()
	loaded.Warnings = r.problems
	return loaded, nil
}

// read reads a file and the overrides, and notes what is wrong with single values.
func read(name string, text []byte, environ []string) *reader {
	r := &reader{name: name, config: Default(), origins: map[string]origin{}}
	r.document(text, tree())
	r.environment(environ, keys())
	return r
}
