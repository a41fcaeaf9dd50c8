package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
)

// maxAnswer bounds what is read of a webhook's answer; nothing of it is used.
const maxAnswer = 64 << 10

// post gives a notice to a webhook.
func (n *Notifier) post(ctx context.Context, to Channel, notice Notice) error {
	text, err := json.Marshal(notice)
	if err != nil {
		return permanent{fmt.Errorf("notify: %w", err)}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.Webhook, bytes.NewReader(text))
	if err != nil {
		return permanent{fmt.Errorf("notify: %w", err)}
	}
	maps.Copy(request.Header, to.Header.Clone())
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "assay")
	response, err := n.opt.Client.Do(request)
	if err != nil {
		return fmt.Errorf("notify: webhook at %s: %w", request.URL.Host, withoutURL(err))
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer)) // so that the connection can be used again
	return judge(request.URL.Host, response.StatusCode)
}

// withoutURL takes the URL out of an error: webhooks carry their secret in it, and errors are logged.
func withoutURL(err error) error {
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// judge says what a status code means (RFC 9110 Section 15).
func judge(host string, code int) error {
	if code/100 == 2 {
		return nil
	}
	err := fmt.Errorf("notify: webhook at %s answers %d %s", host, code, http.StatusText(code))
	switch {
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		return err
	}
	return permanent{err}
}
