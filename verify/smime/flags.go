package smime

// Flags of a Verification: odd, but no reason for another verdict. Flags of package cms are passed on as they are.
const (
	FlagPreamble         = "preamble"                  // text before the signed part; more than a note about the format is Partial
	FlagEpilogue         = "epilogue"                  // text behind the signed part
	FlagBoundary         = "odd-boundary"              // lines that readers who do not keep to the letter take for delimiters
	FlagContentType      = "odd-content-type"          // comments, repetitions or blanks in Content-Type
	FlagEncoding         = "odd-encoding"              // the base64 of the signature has what is no base64
	FlagBareLF           = "bare-lf"                   // the signature fits the text with its line ends corrected
	FlagOldSignature     = "old-signature"             // signed more than 30 days before receipt
	FlagNoSigningTime    = "no-signing-time"           // the signer does not say when
	FlagAddressName      = "address-in-name"           // the display name in From has an address that is not the signer's
	FlagCase             = "local-part-case"           // the mailbox differs from the one in From in upper and lower case
	FlagSubjectMail      = "subject-mail"              // the matching mailbox stands in the subject of the certificate only
	FlagProtected        = "protected-header"          // the header is signed too (RFC 9788) and was compared
	FlagHeaderDiffers    = "protected-differs"         // a signed header field is not the one shown; one flag per field follows
	FlagInnerBroken      = "inner-signature-bad"       // a signature inside of the signed text is not good
	FlagInnerSigned      = "inner-signature"           // there is a good signature inside of the signed text
	FlagInnerUnknown     = "inner-signature-unchecked" // a signature inside of the signed text cannot be checked
	FlagCompressed       = "compressed"                // the signed text is compressed and was not looked into
	FlagDisputed         = "disputed"                  // two implementations do not agree about a signature; worth a look at the message
	FlagStray            = "stray-signature"           // a detached signature without the text it is about
	FlagSeveral          = "several-signers"           // more than one signer
	FlagMoreObjects      = "more-signed-parts"         // more than one part is signed or encrypted
	FlagLegacy           = "protected-draft"           // ... as drafts before RFC 9788 had it
	FlagLegacyCipher     = "legacy-encryption"         // what was opened is encrypted with 3DES
	FlagNotAuthenticated = "not-authenticated"         // what was opened may have been changed by anybody on the way
	FlagWrapped          = "protected-message"         // ... by signing the whole message (RFC 8551 Section 3.1)
)
