//go:build race

package store

// raceFactor is how much slower the race detector makes things.
const raceFactor = 20
