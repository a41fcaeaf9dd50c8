package clamd

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"assay/scan/virus"
)

// levels is how deep the archive of a check is nested: deeper than clamd can be configured to look (MaxRecursion is at
// most 100).
const levels = 110

// Check asks clamd for its version and has it scan size octets, and an archive that is nested too deeply. It implements
// virus.Checker. That clamd does not take so much is an error, which says what to change in clamd.conf; what makes clamd call
// clean what it has not looked at is a warning.
func (c *Client) Check(ctx context.Context, size int64) (virus.Health, error) {
	name, err := c.Version(ctx)
	if err != nil {
		return virus.Health{}, err
	}
	health := virus.Health{Version: name}
	v, err := c.Scan(ctx, "", io.LimitReader(zeros{}, max(size, 1)))
	switch {
	case errors.Is(err, virus.ErrTooLarge):
		return health, fmt.Errorf("%w; messages may have %d octets, so set \"StreamMaxLength %d\" or more in clamd.conf and restart clamd",
			err, size, size)
	case err != nil:
		return health, err
	case v.Kind == virus.Uninspectable:
		health.Warnings = append(health.Warnings, fmt.Sprintf("clamd does not look into %d octets (%s), the size of the largest "+
			"message: raise MaxFileSize and MaxScanSize in clamd.conf.", size, v.Name))
	}
	nested, err := nestedArchive(levels)
	if err != nil {
		return health, fmt.Errorf("clamd: %w", err)
	}
	if v, err = c.Scan(ctx, "", bytes.NewReader(nested)); err != nil {
		return health, err
	}
	if v.Kind == virus.Clean {
		health.Warnings = append(health.Warnings,
			"clamd calls clean what it has not looked at because of its limits: set \"AlertExceedsMax yes\" in clamd.conf.")
	}
	return health, nil
}

// nestedArchive returns a ZIP file in a ZIP file, and so on.
func nestedArchive(levels int) ([]byte, error) {
	content := []byte("nothing")
	for range levels {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		f, err := w.CreateHeader(&zip.FileHeader{Name: "a", Method: zip.Store})
		if err != nil {
			return nil, err
		}
		if _, err = f.Write(content); err != nil {
			return nil, err
		}
		if err = w.Close(); err != nil {
			return nil, err
		}
		content = b.Bytes()
	}
	return content, nil
}

// zeros is an endless content without anything in it.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
