package html

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"assay/scan"
	"assay/scan/html/internal/chromium"
)

// TestLayout shows the newsletters before and after cleaning at level active, and compares the pictures. With
// ASSAY_LAYOUT=1 it writes them side by side into a folder that it names; without, it does not run.
func TestLayout(t *testing.T) {
	if os.Getenv("ASSAY_LAYOUT") == "" {
		t.Skip("ASSAY_LAYOUT is not set")
	}
	page := startBrowser(t)
	dir, err := os.MkdirTemp("", "assay-layout-")
	if err != nil {
		t.Fatal(err)
	}
	docs := newsletters(t)
	same := 0
	for name, src := range docs {
		r := Clean(src, "utf-8", scan.Active, Options{})
		if !r.Changed {
			same++
			if os.Getenv("ASSAY_LAYOUT") != "all" {
				continue // the same octets give the same picture
			}
		}
		before, after := picture(t, page, src), picture(t, page, r.Output)
		share := difference(before, after)
		t.Logf("%s: %.3f %% different, took %v", name, 100*share, r.Taken)
		if share > 0.005 && !onPurpose(r.Taken) {
			t.Errorf("%s: %.2f %% of the pixels are different", name, 100*share)
		}
		writeBeside(t, filepath.Join(dir, name+".png"), before, after)
	}
	t.Logf("%d of %d are the same octets; pictures are in %s", same, len(docs), dir)
}

// onPurpose says whether content that can be seen was taken.
func onPurpose(taken []scan.Finding) bool {
	for _, f := range taken {
		switch f.Kind {
		case KindForm, KindFrame, KindObject, KindMedia, KindSVG:
			return true
		}
	}
	return false
}

func picture(t *testing.T, page *chromium.Page, src []byte) image.Image {
	t.Helper()
	data, err := page.Picture(chromium.Document{ContentType: "text/html; charset=utf-8", Body: src})
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// difference returns the share of pixels that are visibly different; what one picture is higher counts as different.
func difference(a, b image.Image) float64 {
	width, height := max(a.Bounds().Dx(), b.Bounds().Dx()), max(a.Bounds().Dy(), b.Bounds().Dy())
	count := 0
	for y := range height {
		for x := range width {
			if p := (image.Point{X: x, Y: y}); !p.In(a.Bounds()) || !p.In(b.Bounds()) || far(a.At(x, y), b.At(x, y)) {
				count++
			}
		}
	}
	return float64(count) / float64(width*height)
}

// far says whether two colours can be told apart.
func far(a, b color.Color) bool {
	r1, g1, b1, _ := a.RGBA()
	r2, g2, b2, _ := b.RGBA()
	apart := func(x, y uint32) uint32 { return max(x, y) - min(x, y) }
	return apart(r1, r2)+apart(g1, g2)+apart(b1, b2) > 3*0xffff/16
}

func writeBeside(t *testing.T, path string, a, b image.Image) {
	t.Helper()
	both := image.NewRGBA(image.Rect(0, 0, a.Bounds().Dx()+b.Bounds().Dx()+8, max(a.Bounds().Dy(), b.Bounds().Dy())))
	draw.Draw(both, a.Bounds(), a, image.Point{}, draw.Src)
	draw.Draw(both, b.Bounds().Add(image.Pt(a.Bounds().Dx()+8, 0)), b, image.Point{}, draw.Src)
	var out bytes.Buffer
	if err := png.Encode(&out, both); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", path, err))
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
