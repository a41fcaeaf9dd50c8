//go:build !race

package dkim

const raceDetector = false
