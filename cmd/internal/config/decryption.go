package config

import "assay/verify/smime/envelope"

// Recipients reads the keys that open mail. The error names every file that cannot be used.
func (d Decryption) Recipients() (*envelope.Keys, error) { return envelope.Load(d.Keys) }

// checkDecryption reports what contradicts the rest of the configuration.
func (r *reader) checkDecryption() {
	if d := r.config.Scan.Decryption; d.Deliver == DeliverOpened && len(d.Keys) == 0 {
		r.at("scan.smime.deliver", "opened has an effect only with scan.smime.keys")
	}
}

// warnDecryption reports what is wrong with the keys on this system, each file in a line of its own.
func (r *reader) warnDecryption() {
	_, err := r.config.Scan.Decryption.Recipients()
	if err == nil {
		return
	}
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		r.at("scan.smime.keys", "%v", err)
	}
}
