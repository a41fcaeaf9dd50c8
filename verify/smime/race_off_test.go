//go:build !race

package smime

// slowdown is how much longer things may take than in production.
const slowdown = 1
