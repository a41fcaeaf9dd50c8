//go:build race

package quarantine

// raceFactor is how much slower the race detector makes things.
const raceFactor = 20
