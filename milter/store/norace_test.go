//go:build !race

package store

// raceFactor is 1 without the race detector.
const raceFactor = 1
