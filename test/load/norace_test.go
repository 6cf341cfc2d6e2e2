//go:build !race

package load

// raceDetector says whether these tests run with the race detector.
const raceDetector = false
