package milter

import (
	"encoding/binary"
	"strings"

	"github.com/emersion/go-milter"

	"assay/milter/plan"
)

// maxVersion is the newest protocol version Assay speaks. Flags of version 6 such as SMFIP_HDR_LEADSPC belong to it.
const maxVersion = 6

// wantActions are the modifications that Assay asks for.
const wantActions = uint32(milter.OptAddHeader | milter.OptChangeHeader | milter.OptChangeBody | milter.OptQuarantine |
	milter.OptAddRcpt | milter.OptRemoveRcpt | milter.OptSetSymList)

// wantProtocol are the protocol flags that Assay asks for: header values with their leading blank, and no DATA and UNKNOWN
// commands. None of the SMFIP_NR flags is ever among them: a reply that the MTA does not expect makes Postfix deliver
// the message unfiltered without a word.
const wantProtocol = uint32(milter.OptHeaderLeadingSpace | milter.OptNoUnknown | milter.OptNoData)

// A negotiation is the outcome of the option negotiation (SMFIC_OPTNEG). The zero value grants nothing.
type negotiation struct {
	version  uint32
	actions  uint32
	protocol uint32
}

// negotiate answers an offer with those of the wanted flags that were offered: Sendmail puts a filter that claims more
// into its error state. It reports false for a packet that is not an offer of version 2 or later.
func negotiate(offer []byte) (negotiation, bool) {
	if len(offer) < 12 {
		return negotiation{}, false
	}
	n := negotiation{
		version:  min(maxVersion, binary.BigEndian.Uint32(offer)),
		actions:  wantActions & binary.BigEndian.Uint32(offer[4:]),
		protocol: wantProtocol & binary.BigEndian.Uint32(offer[8:]),
	}
	return n, n.version >= 2
}

// packet returns the complete reply to the offer.
func (n negotiation) packet() []byte {
	p := []byte{0, 0, 0, 0, byte(milter.CodeOptNeg)}
	for _, v := range []uint32{n.version, n.actions, n.protocol} {
		p = binary.BigEndian.AppendUint32(p, v)
	}
	if n.actions&uint32(milter.OptSetSymList) != 0 {
		for stage, names := range wantMacros() {
			p = binary.BigEndian.AppendUint32(p, uint32(stage))
			p = append(append(p, strings.Join(names, " ")...), 0)
		}
	}
	binary.BigEndian.PutUint32(p, uint32(len(p)-4))
	return p
}

// leadingSpace reports whether header values carry the blank behind the colon, in both directions.
func (n negotiation) leadingSpace() bool {
	return n.protocol&uint32(milter.OptHeaderLeadingSpace) != 0
}

// capabilities returns the modifications that were granted.
func (n negotiation) capabilities() plan.Capabilities {
	granted := func(a milter.OptAction) bool { return n.actions&uint32(a) != 0 }
	return plan.Capabilities{
		AddHeaders:    granted(milter.OptAddHeader),
		ChangeHeaders: granted(milter.OptChangeHeader),
		ChangeBody:    granted(milter.OptChangeBody),
		Quarantine:    granted(milter.OptQuarantine),
		AddRecipients: granted(milter.OptAddRcpt), DeleteRecipients: granted(milter.OptRemoveRcpt),
	}
}

// wantMacros are the macros that Assay asks for, by SMFIM stage. Every stage is listed: Postfix falls back to its own
// configuration for the others, and Sendmail 8.17 chooses the end-of-message set by the end-of-header flag.
func wantMacros() [7][]string {
	message := []string{"i", "{auth_authen}", "{msg_id}"}
	return [7][]string{
		milter.StageConnect: {"j", "_", "{daemon_name}", "{daemon_addr}", "{daemon_port}", "{client_addr}",
			"{client_name}", "{client_ptr}", "{client_resolve}", "v"},
		milter.StageHelo: {"{tls_version}", "{cipher}", "{cipher_bits}", "{cert_subject}", "{cert_issuer}", "{verify}"},
		milter.StageMailFrom: {"i", "{auth_type}", "{auth_authen}", "{auth_author}", "{auth_ssf}", "{mail_addr}",
			"{tls_version}", "{verify}"},
		milter.StageRcptTo: {"i", "{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}"},
		milter.StageData:   message,
		milter.StageEOH:    message,
		milter.StageEOM:    message,
	}
}
