//go:build race

package rules

// slowdown is how many times slower code may be that looks for races.
const slowdown = 20
