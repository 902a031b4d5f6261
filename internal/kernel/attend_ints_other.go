//go:build purego || !amd64

package kernel

func attendsInts() bool                                { return false }
func split16Row(high, low []int8, x []float32) split16 { return split16Generic(high, low, x) }
func placeBytes(to, codes []int8, slot int)            { placeBytesGeneric(to, codes, slot) }
func scoresInts(c *attendCall)                         { scoresIntsGeneric(c) }
func weigh(c *attendCall)                              { weighGeneric(c) }
func mixInts(c *attendCall)                            { mixIntsGeneric(c) }
