//go:build !race

package quarantine

// raceFactor is 1 without the race detector.
const raceFactor = 1
