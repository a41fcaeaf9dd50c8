// Package password finds what could be the password of an attachment in the text of the mail that brings it. People write
// it there although they should not; Assay tries it, only to look into the file. What it finds is never shown, logged or
// stored.
package password


// Candidates returns words of a subject and of texts that could be passwords, the likeliest first, without repetitions and
// at most limit of them; texts are plain, not HTML. Time is linear in the length of the texts.
func Candidates(subject string, texts []string, limit int) []string {
	_, _, _ = subject, texts, limit
	return nil
}
