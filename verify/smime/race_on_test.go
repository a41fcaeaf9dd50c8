//go:build race

package smime

// slowdown is how much longer things may take than in production: the race detector's share.
const slowdown = 10
