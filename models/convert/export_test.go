package convert

import (
	"context"
	"errors"
	"slices"

	"ortserve/onnx/graph/nbits"
)

// ImportBalanced imports a folder in float32, its columns multiplied as for blocks of 4 bits: the same model.
func ImportBalanced(ctx context.Context, dir, dst string) error {
	if _, err := Folder(ctx, dir, dst, Options{Bits: 32}); err != nil {
		return err
	}
	folder, err := openFolder(dir)
	if err != nil {
		return err
	}
	defer folder.weights.Close()
	s, err := folder.source()
	if err != nil {
		return err
	}
	w := &writer{report: &Report{}}
	four := nbits.Format{Bits: 4, Block: 32}
	fit, err := w.fits(ctx, s, formats{slices.Repeat([]nbits.Format{four}, len(s.layers)), four, nbits.Format{Bits: 32}})
	if err != nil {
		return err
	}
	for _, l := range fit.layers {
		for _, scales := range [][]float32{l.qkv.scales, l.output.scales, l.gateUp.scales, l.down.scales, l.value, fit.head.scales} {
			if len(scales) == 0 || slices.Max(scales) < 1.05*slices.Min(scales) {
				return errors.New("the columns are not multiplied")
			}
		}
	}
	return w.write(ctx, dst, s, Options{}, Options{Bits: 32}.formats(s), fit)
}
