package chromium

import (
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Document is what is shown.
type Document struct {
	ContentType string
	Body        []byte
}

// A Sighting is what the browser did with a document.
type Sighting struct {
	Ran      []string // scripts, handlers and dialogs that ran
	Active   []string // what is in the DOM that acts, or would with a click
	Requests []string // what was asked for, by kind and address
}

// origin is where documents come from.
const origin = "http://mail.test"

// policy makes the browser report every script, and hinder none.
const policy = "script-src 'none'"

//go:embed watch.js
var watch string

// A Page shows documents, many at a time. It belongs to one goroutine.
type Page struct {
	browser *Browser
	session string
	target  string

	mu      sync.Mutex
	main    string // frame of the page itself
	outer   string // document of the page
	docs    []Document
	frames  map[string]int // index of the document in each frame
	asked   [][]string     // by document; the last is for what could not be told
	dialogs []string
	loaded  chan struct{}
}

// NewPage opens a page.
func (b *Browser) NewPage() (*Page, error) {
	p := &Page{browser: b}
	var target struct{ TargetID string }
	if err := b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target); err != nil {
		return nil, err
	}
	var attached struct{ SessionID string }
	if err := b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached); err != nil {
		return nil, err
	}
	p.target, p.session = target.TargetID, attached.SessionID
	b.mu.Lock()
	b.events[p.session] = p.event
	b.mu.Unlock()
	for _, c := range []struct {
		method string
		params map[string]any
	}{
		{"Page.enable", nil},
		{"Runtime.enable", nil},
		{"Network.enable", nil},
		{"Network.setCacheDisabled", map[string]any{"cacheDisabled": true}},
		{"Emulation.setDeviceMetricsOverride", map[string]any{"width": 800, "height": 1000, "deviceScaleFactor": 1, "mobile": false}},
		{"Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": watch}},
		{"Fetch.enable", map[string]any{"patterns": []map[string]any{{"urlPattern": "*"}}}},
	} {
		if err := b.call(p.session, c.method, c.params, nil); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Close closes the page.
func (p *Page) Close() error {
	return p.browser.call("", "Target.closeTarget", map[string]any{"targetId": p.target}, nil)
}

// event handles what the browser tells. It never waits.
func (p *Page) event(method string, params json.RawMessage) {
	switch method {
	case "Page.loadEventFired":
		p.mu.Lock()
		if p.loaded != nil {
			close(p.loaded)
			p.loaded = nil
		}
		p.mu.Unlock()
	case "Page.javascriptDialogOpening":
		p.mu.Lock()
		p.dialogs = append(p.dialogs, "dialog "+string(params))
		p.mu.Unlock()
		_ = p.browser.send(p.session, "Page.handleJavaScriptDialog", map[string]any{"accept": false}, nil)
	case "Fetch.requestPaused":
		var r request
		if json.Unmarshal(params, &r) == nil {
			p.answer(r)
		}
	}
}

// A request is one that the browser wants to make.
type request struct {
	RequestID    string
	FrameID      string
	ResourceType string
	Request      struct{ URL string }
}

// pixel is a grey image.
const pixel = "R0lGODdhAQABAIAAAJaWlpaWliwAAAAAAQABAAACAkQBADs="

// answer serves the documents and images, and nothing else.
func (p *Page) answer(r request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	url := r.Request.URL
	if r.ResourceType == "Document" {
		if rest, ok := strings.CutPrefix(url, origin+"/d/"); ok {
			if i, err := strconv.Atoi(rest); err == nil && i < len(p.docs) {
				if _, again := p.frames[r.FrameID]; !again {
					p.frames[r.FrameID] = i
					p.fulfill(r, p.docs[i].ContentType, base64.StdEncoding.EncodeToString(p.docs[i].Body))
					return
				}
			}
		}
		if url == origin+"/" && p.main == "" {
			p.main = r.FrameID
			p.fulfill(r, "text/html; charset=utf-8", base64.StdEncoding.EncodeToString([]byte(p.outer)))
			return
		}
	}
	i, ok := p.frames[r.FrameID]
	if !ok {
		i = len(p.docs)
	}
	if !strings.HasPrefix(url, "data:") && !strings.HasPrefix(url, "cid:") && !strings.HasPrefix(url, "mid:") && !strings.HasSuffix(url, "/favicon.ico") {
		p.asked[i] = append(p.asked[i], r.ResourceType+" "+url)
	}
	switch {
	case strings.HasPrefix(url, "data:"):
		_ = p.browser.send(p.session, "Fetch.continueRequest", map[string]any{"requestId": r.RequestID}, nil)
	case r.ResourceType == "Image":
		p.fulfill(r, "image/gif", pixel)
	case r.ResourceType == "Stylesheet":
		p.fulfill(r, "text/css", "")
	default:
		_ = p.browser.send(p.session, "Fetch.failRequest", map[string]any{"requestId": r.RequestID, "errorReason": "Failed"}, nil)
	}
}

// fulfill answers a request. body is base64.
func (p *Page) fulfill(r request, contentType, body string) {
	header := func(name, value string) map[string]string { return map[string]string{"name": name, "value": value} }
	_ = p.browser.send(p.session, "Fetch.fulfillRequest", map[string]any{
		"requestId": r.RequestID, "responseCode": 200, "body": body,
		"responseHeaders": []map[string]string{header("Content-Type", contentType), header("Content-Security-Policy-Report-Only", policy)},
	}, nil)
}

// open loads a page with a frame for each document.
func (p *Page) open(docs []Document, outer string) error {
	loaded := make(chan struct{})
	p.mu.Lock()
	p.main, p.outer, p.docs, p.loaded = "", outer, docs, loaded
	p.frames, p.asked, p.dialogs = make(map[string]int), make([][]string, len(docs)+1), nil
	p.mu.Unlock()
	if err := p.browser.call(p.session, "Page.navigate", map[string]any{"url": origin + "/"}, nil); err != nil {
		return err
	}
	select {
	case <-loaded:
		return nil
	case <-p.browser.done:
		return fmt.Errorf("chromium: the browser has ended")
	case <-time.After(callTimeout):
		return fmt.Errorf("chromium: the page was not loaded")
	}
}

// evaluate runs an expression in the page and waits for it.
func (p *Page) evaluate(expression string, result any) error {
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	err := p.browser.call(p.session, "Runtime.evaluate", map[string]any{
		"expression": expression, "awaitPromise": true, "returnByValue": true, "allowUnsafeEvalBlockedByCSP": true,
	}, &r)
	switch {
	case err != nil:
		return err
	case r.ExceptionDetails != nil:
		return fmt.Errorf("chromium: %s", r.ExceptionDetails)
	case result != nil:
		return json.Unmarshal(r.Result.Value, result)
	}
	return nil
}

// frames returns a page with n frames, which all are in view.
func framesPage(n int) string {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html><title>documents</title><style>iframe{position:absolute;top:0;left:0;width:120px;height:120px}</style>")
	for i := range n {
		fmt.Fprintf(&b, `<iframe src="%s"></iframe>`, html.EscapeString(fmt.Sprintf("/d/%d", i)))
	}
	return b.String()
}

// Show shows each document as a whole.
func (p *Page) Show(docs []Document) ([]Sighting, error) {
	if err := p.open(docs, framesPage(len(docs))); err != nil {
		return nil, err
	}
	return p.look(docs)
}

// Insert puts each document, which has to be UTF-8, into a page by innerHTML, and what the browser makes of it into the page
// once more, as mail programs on the web do.
func (p *Page) Insert(docs []Document) ([]Sighting, error) {
	hosts := make([]Document, len(docs))
	texts := make([]string, len(docs))
	for i, d := range docs {
		hosts[i] = Document{ContentType: "text/html; charset=utf-8", Body: []byte("<!DOCTYPE html><title>mail</title><body>")}
		texts[i] = string(d.Body)
	}
	if err := p.open(hosts, framesPage(len(hosts))); err != nil {
		return nil, err
	}
	list, err := json.Marshal(texts)
	if err != nil {
		return nil, err
	}
	if err := p.evaluate("assayInsert("+string(list)+")", nil); err != nil {
		return nil, err
	}
	return p.look(hosts)
}

// Hold opens n frames that Rewrite uses again and again.
func (p *Page) Hold(n int) error {
	hosts := make([]Document, n)
	for i := range hosts {
		hosts[i] = Document{ContentType: "text/html; charset=utf-8", Body: []byte("<!DOCTYPE html><title>mail</title>")}
	}
	return p.open(hosts, framesPage(n))
}

// Rewrite shows texts in the frames of Hold, at most as many as there are: written as whole documents, or put in by innerHTML
// as Insert does. It costs a tenth of Show and Insert, and the charset makes no difference.
func (p *Page) Rewrite(texts []string, insert bool) ([]Sighting, error) {
	p.mu.Lock()
	docs := p.docs
	p.asked, p.dialogs = make([][]string, len(docs)+1), nil
	p.mu.Unlock()
	list, err := json.Marshal(texts)
	if err != nil {
		return nil, err
	}
	if err := p.evaluate(fmt.Sprintf("assayWrite(%s, %v)", list, insert), nil); err != nil {
		return nil, err
	}
	found, err := p.look(docs)
	if err != nil {
		return nil, err
	}
	return found[:len(texts)], nil
}

// look waits a little and collects.
func (p *Page) look(docs []Document) ([]Sighting, error) {
	var found []Sighting
	if err := p.evaluate("assayLook()", &found); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(found) != len(docs) {
		return nil, fmt.Errorf("chromium: %d of %d documents were shown", len(found), len(docs))
	}
	for i := range found {
		found[i].Requests = p.asked[i]
		found[i].Ran = append(found[i].Ran, p.dialogs...)
	}
	if rest := p.asked[len(docs)]; len(rest) > 0 {
		found[0].Requests = append(found[0].Requests, rest...)
	}
	return found, nil
}

// Picture returns a screenshot of a document in PNG, 800 pixels wide and as high as it is, at most 6000.
func (p *Page) Picture(d Document) ([]byte, error) {
	if err := p.open(nil, string(d.Body)); err != nil {
		return nil, err
	}
	var height float64
	if err := p.evaluate("new Promise(r => setTimeout(() => r(Math.max(100, Math.min(6000, document.documentElement.scrollHeight))), 80))", &height); err != nil {
		return nil, err
	}
	var shot struct{ Data []byte }
	err := p.browser.call(p.session, "Page.captureScreenshot", map[string]any{
		"format": "png", "captureBeyondViewport": true,
		"clip": map[string]any{"x": 0, "y": 0, "width": 800, "height": height, "scale": 1},
	}, &shot)
	return shot.Data, err
}
