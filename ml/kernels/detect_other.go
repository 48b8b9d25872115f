//go:build !amd64

package kernels

// Without assembly every variant is the portable one.

func detect() Variant { return Portable }

func multiplyVector(Variant, *product) bool                                     { return false }
func transposeVector(Variant, Dense, []float32, []float32) bool                 { return false }
func sumColumnsVector(Variant, []float32, Matrix) bool                          { return false }
func dropVector(Variant, Matrix, *dropping) bool                                { return false }
func maskVector(Variant, Matrix, Matrix, float32) bool                          { return false }
func softmaxVector(Variant, Matrix) bool                                        { return false }
func crossVector(Variant, Matrix, []int32, float32, []float32) bool             { return false }
func mapVector(Variant, function, Matrix) bool                                  { return false }
func slopeVector(Variant, function, Matrix, Matrix) bool                        { return false }
func sgdVector(Variant, *sgd, []float32, []float32, []float32) int              { return 0 }
func sumSquaresVector(Variant, *[lanes]float64, []float32) int                  { return 0 }
func adamVector(Variant, *adam, []float32, []float32, []float32, []float32) int { return 0 }
func addFixedVector(Variant, []int64, []float32, float64) (int, bool)           { return 0, true }
func narrowVector(Variant, []int32, []int64) (int, bool)                        { return 0, true }
func addNarrowVector(Variant, []int64, []int32) int                             { return 0 }
func fromFixedVector(Variant, []float32, []int64, float64) int                  { return 0 }
func layerNormVector(Variant, float32, Matrix, Matrix, []float32, []float32, []float32) bool {
	return false
}
func layerSlopeVector(Variant, Matrix, Matrix, []float32, []float32) bool       { return false }
func scaleSlopeVector(Variant, []float32, Matrix, Matrix, []float32) bool       { return false }
func addVector(Variant, Matrix, Matrix) bool                                    { return false }
func affineVector(Variant, Matrix, Matrix, []float32, []float32) bool           { return false }
func blendVector(Variant, Matrix, Matrix, []float32, []float32, []float32) bool { return false }
