package cms

// Limits bound what an object may cost. The zero value means the documented defaults. What exceeds one is an error that
// wraps ErrLimit, except where it says otherwise.
type Limits struct {
	Size         int // octets of an object that carries its content; default 30 MiB
	Detached     int // octets of signed-data without content; default 256 KiB
	Depth        int // nested elements; default 32, at most 100
	Elements     int // elements; default 200,000
	Signers      int // SignerInfos; default 8
	Certificates int // certificates of signed-data; default 64
	// CertificateOctets are the octets of all certificates together that are parsed, in all objects that share Work; those
	// beyond have an Err instead. Default 256 KiB.
	CertificateOctets int

	RevocationList int // octets of one CRL or OCSP response; larger ones are counted in Ignored; default 1 MiB
	Attributes     int // signed or unsigned attributes of a signer; default 64
	Recipients     int // recipients that are listed; all beyond are counted; default 64
	Direct         int // octets of a content that is signed without signed attributes; beyond: Unsupported; default 4 MiB

	// Work is shared by the objects of one message; nil gives each object its own. Signers beyond it are Malformed.
	Work *Work
}

const (
	defaultSize              = 30 << 20
	defaultDetached          = 256 << 10
	defaultDepth             = 32
	defaultElements          = 200_000
	defaultSigners           = 8
	defaultCertificates      = 64
	defaultRevocationList    = 1 << 20
	defaultCertificateOctets = 256 << 10
	defaultAttributes        = 64
	defaultRecipients        = 64
	defaultDirect            = 4 << 20

	maxDepth = 100
)

// withDefaults returns l with every unset limit set.
func (l Limits) withDefaults() Limits {
	setDefault(&l.Size, defaultSize)
	setDefault(&l.Detached, defaultDetached)
	setDefault(&l.Depth, defaultDepth)
	setDefault(&l.Elements, defaultElements)
	setDefault(&l.Signers, defaultSigners)
	setDefault(&l.Certificates, defaultCertificates)
	setDefault(&l.CertificateOctets, defaultCertificateOctets)
	setDefault(&l.RevocationList, defaultRevocationList)
	setDefault(&l.Attributes, defaultAttributes)
	setDefault(&l.Recipients, defaultRecipients)
	setDefault(&l.Direct, defaultDirect)
	l.Depth = min(l.Depth, maxDepth)
	if l.Work == nil {
		l.Work = new(Work)
	}
	return l
}

func setDefault(limit *int, value int) {
	if *limit <= 0 {
		*limit = value
	}
}
