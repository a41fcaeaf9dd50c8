package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Media types of the OCI image specification 1.1.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// An imageOptions says what an image is made of.
type imageOptions struct {
	Version  string
	Revision string
	Time     time.Time
	Programs map[string][]byte // by architecture
}

// A descriptor points to a blob.
type descriptor struct {
	Type        string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// A platform is where an image runs.
type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

// A layout is an OCI image layout in the making: blobs by their digest.
type layout struct {
	blobs map[string][]byte
}

// put adds a blob and returns what points to it.
func (l *layout) put(mediaType string, blob []byte) descriptor {
	sum := sha256.Sum256(blob)
	digest := hex.EncodeToString(sum[:])
	l.blobs[digest] = blob
	return descriptor{Type: mediaType, Digest: "sha256:" + digest, Size: len(blob)}
}

// putJSON adds a document.
func (l *layout) putJSON(mediaType string, document any) (descriptor, error) {
	text, err := json.Marshal(document)
	return l.put(mediaType, text), err
}

// image returns an image layout as a tar file: one manifest for each architecture, from scratch.
func image(o imageOptions) ([]byte, error) {
	l := &layout{blobs: map[string][]byte{}}
	var manifests []descriptor
	for _, arch := range slices.Sorted(maps.Keys(o.Programs)) {
		d, err := l.manifest(o, arch)
		if err != nil {
			return nil, err
		}
		manifests = append(manifests, d)
	}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": typeIndex, "manifests": manifests})
	if err != nil {
		return nil, err
	}
	files := []file{{name: "oci-layout", data: []byte(`{"imageLayoutVersion":"1.0.0"}`)}, {name: "index.json", data: index}, {name: "blobs/", mode: 0o755},
		{name: "blobs/sha256/", mode: 0o755}}
	for _, digest := range slices.Sorted(maps.Keys(l.blobs)) {
		files = append(files, file{name: "blobs/sha256/" + digest, data: l.blobs[digest]})
	}
	return archive(files, o.Time)
}

// manifest adds the image of one architecture.
func (l *layout) manifest(o imageOptions, arch string) (descriptor, error) {
	files, err := archive(content(o.Programs[arch]), o.Time)
	if err != nil {
		return descriptor{}, err
	}
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if _, err := w.Write(files); err != nil {
		return descriptor{}, err
	}
	if err := w.Close(); err != nil {
		return descriptor{}, err
	}
	layer, plain := l.put(typeLayer, packed.Bytes()), sha256.Sum256(files)
	config, err := l.putJSON(typeConfig, configuration(o, arch, "sha256:"+hex.EncodeToString(plain[:])))
	if err != nil {
		return descriptor{}, err
	}
	d, err := l.putJSON(typeManifest, map[string]any{"schemaVersion": 2, "mediaType": typeManifest, "config": config, "layers": []descriptor{layer}})
	d.Platform = &platform{arch, "linux"}
	d.Annotations = map[string]string{"org.opencontainers.image.ref.name": o.Version}
	return d, err
}

// configuration is how the image is run; packaging/container/Containerfile says the same to an engine.
func configuration(o imageOptions, arch, diff string) map[string]any {
	created := o.Time.Format(time.RFC3339)
	return map[string]any{
		"created": created, "architecture": arch, "os": "linux",
		"config": map[string]any{
			"User": "65532:65532", "Entrypoint": []string{"/assay"}, "Cmd": []string{"serve"}, "WorkingDir": "/",
			"Env":          []string{"PATH=/", "ASSAY__LISTEN__MILTER=inet:0.0.0.0:8894"},
			"ExposedPorts": map[string]any{"8894/tcp": struct{}{}}, "StopSignal": "SIGTERM",
			"Volumes": map[string]any{"/var/lib/assay": struct{}{}},
			"Labels": map[string]string{"org.opencontainers.image.title": "Assay", "org.opencontainers.image.version": o.Version,
				"org.opencontainers.image.revision": o.Revision, "org.opencontainers.image.licenses": "Apache-2.0"},
			"Healthcheck": map[string]any{"Test": []string{"CMD", "/assay", "ctl", "health"}, "Interval": 30 * time.Second, "Timeout": 5 * time.Second},
		},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{diff}},
		"history": []map[string]any{{"created": created, "created_by": "assay " + o.Version}},
	}
}

// content returns the files of the only layer.
func content(program []byte) []file {
	return []file{
		{name: "assay", data: program, mode: 0o755},
		{name: "etc/", mode: 0o755},
		{name: "etc/passwd", data: []byte("assay:x:65532:65532:Assay:/var/lib/assay:/nonexistent\n")},
		{name: "etc/group", data: []byte("assay:x:65532:\n")},
		{name: "etc/assay/", mode: 0o755},
		{name: "etc/assay/rules.d/", mode: 0o755},
		{name: "run/", mode: 0o755},
		{name: "run/assay/", mode: 0o755, owner: 65532},
		{name: "tmp/", mode: 0o1777},
		{name: "var/", mode: 0o755},
		{name: "var/lib/", mode: 0o755},
		{name: "var/lib/assay/", mode: 0o700, owner: 65532},
	}
}

// A file is an entry of a tar file; one whose name ends in a slash is a directory. Mode 0 stands for 0644.
type file struct {
	name  string
	data  []byte
	mode  int64
	owner int
}

// archive returns a tar file, in which everything has one time.
func archive(files []file, when time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: when, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR,
			Uid: f.owner, Gid: f.owner}
		if f.mode == 0 {
			h.Mode = 0o644
		}
		if f.name[len(f.name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}
