package mlflow

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/troupe-ml/troupe/gateway/api"
	"github.com/troupe-ml/troupe/internal/fault"
	"github.com/troupe-ml/troupe/registry/runs"
)

type fileInfo struct {
	Path  string   `json:"path"`
	IsDir bool     `json:"is_dir"`
	Size  *integer `json:"file_size,omitempty"`
}

type listAnswer struct {
	Root  string     `json:"root_uri,omitempty"`
	Files []fileInfo `json:"files,omitempty"`
	Next  string     `json:"next_page_token,omitempty"`
}

const artifactsPath = "/mlflow-artifacts/artifacts"

func (s *Server) artifactRoutes() {
	on(s, "GET", "artifacts/list", api.Read, s.listArtifacts)
	for _, prefix := range prefixes {
		s.handle("GET", prefix, artifactsPath, api.Read, s.listFolder)
		s.handle("GET", prefix, artifactsPath+"/{path...}", api.Read, s.download)
		s.handle("PUT", prefix, artifactsPath+"/{path...}", api.Submit, s.upload)
		s.handle("DELETE", prefix, artifactsPath+"/{path...}", api.Submit, s.remove)
	}
}

// folder lists what is directly in a folder of a run, by name; the empty one is
// that of all. Of a file it lists nothing.
func folder(r *runs.Run, at string) []fileInfo {
	under := ""
	if at != "" {
		under = at + "/"
	}
	found := map[string]fileInfo{}
	for p, a := range r.Artifacts {
		rest, ok := strings.CutPrefix(p, under)
		if !ok {
			continue
		}
		name, _, deeper := strings.Cut(rest, "/")
		info := fileInfo{Path: name, IsDir: deeper}
		if !deeper {
			size := integer(a.Bytes)
			info.Size = &size
		}
		found[name] = info
	}
	var list []fileInfo
	for _, info := range found {
		list = append(list, info)
	}
	slices.SortFunc(list, func(a, b fileInfo) int { return strings.Compare(a.Path, b.Path) })
	return list
}

func (s *Server) listArtifacts(ctx context.Context, in *struct {
	runID
	Path string `json:"path"`
},
) (*listAnswer, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	at := strings.TrimSuffix(in.Path, "/")
	if at != "" {
		if err := runs.CheckPath(at); err != nil {
			return nil, err
		}
	}
	r, err := s.grouped(ctx, id)
	return listing(&r, at), err
}

// listing is what is directly in a folder, with its whole paths.
func listing(r *runs.Run, at string) *listAnswer {
	files := folder(r, at)
	for i := range files {
		files[i].Path = path.Join(at, files[i].Path)
	}
	return &listAnswer{Root: r.ArtifactURI(), Files: files}
}

// holder is what has artifacts: a run or a logged model.
type holder struct {
	id     runs.ID
	logged bool
}

// place reads where an artifact is, as artifact URIs have it:
// EXPERIMENT/RUN/artifacts/PATH or EXPERIMENT/models/MODEL/artifacts/PATH. The path
// may be empty.
func place(p string) (of holder, at string, err error) {
	parts := strings.Split(strings.Trim(p, "/"), "/")[1:]
	if len(parts) > 0 && parts[0] == runs.ModelsFolder {
		parts, of.logged = parts[1:], true
	}
	if len(parts) < 2 || parts[1] != "artifacts" {
		return holder{}, "", fault.New(fault.NotFound, "%.200q is no place of artifacts: they are under EXPERIMENT/RUN/artifacts and EXPERIMENT/models/MODEL/artifacts", p)
	}
	of.id = runs.ID(parts[0])
	if len(parts) > 2 {
		at = strings.Join(parts[2:], "/")
		err = runs.CheckPath(at)
	}
	return of, at, err
}

// keeper records what artifacts something has.
type keeper interface {
	PutArtifact(ctx context.Context, id runs.ID, at string, a runs.Artifact) error
	DropArtifacts(ctx context.Context, id runs.ID, at string) error
}

func (s *Server) keeper(of holder) keeper {
	if of.logged {
		return s.cfg.Registry.Logged
	}
	return s.cfg.Registry.Runs
}

// held loads what has artifacts.
func (s *Server) held(ctx context.Context, of holder) (runs.Run, error) {
	if of.logged {
		return s.cfg.Registry.Logged.Show(ctx, of.id)
	}
	return s.run(ctx, of.id)
}

func (s *Server) listFolder(w http.ResponseWriter, r *http.Request) {
	of, at, err := place(r.URL.Query().Get("path"))
	if err != nil {
		answerError(w, err)
		return
	}
	run, err := s.held(r.Context(), of)
	if err != nil {
		answerError(w, err)
		return
	}
	answerJSON(w, http.StatusOK, &listAnswer{Files: folder(&run, at)})
}

func (s *Server) download(w http.ResponseWriter, r *http.Request) {
	at, bytesOf, release, err := s.artifact(r)
	if err != nil {
		answerError(w, err)
		return
	}
	defer release()
	// What somebody has uploaded is never shown as a page of ours.
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(at)}))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(bytesOf))
}

// hold waits for room for so many bytes of artifacts, or for all there is when their
// number is not known.
func (s *Server) hold(ctx context.Context, n int64) (release func(), err error) {
	if n < 0 || n > s.cfg.MaxArtifactBytes {
		n = s.cfg.MaxArtifactBytes
	}
	if err := s.room.Acquire(ctx, n); err != nil {
		return nil, fault.New(fault.Canceled, "waiting for room: %w", err)
	}
	return func() { s.room.Release(n) }, nil
}

// artifact returns the artifact of a request, in memory until it is released.
func (s *Server) artifact(r *http.Request) (at string, b []byte, release func(), err error) {
	of, at, err := place(r.PathValue("path"))
	if err != nil {
		return "", nil, nil, err
	}
	run, err := s.held(r.Context(), of)
	if err != nil {
		return "", nil, nil, err
	}
	a, ok := run.Artifacts[at]
	if !ok {
		return "", nil, nil, fault.New(fault.NotFound, "%s has no artifact %q", of.id, at)
	}
	if a.Bytes > s.cfg.MaxArtifactBytes {
		return "", nil, nil, fault.New(fault.Invalid, "artifact %q has %d bytes: at most %d are sent this way; `troupe models export` writes a model", at, a.Bytes, s.cfg.MaxArtifactBytes)
	}
	if release, err = s.hold(r.Context(), a.Bytes); err != nil {
		return "", nil, nil, err
	}
	if b, err = s.cfg.Blobs.Get(r.Context(), a.Digest); err != nil {
		release()
	}
	return at, b, release, err
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	if err := s.put(w, r); err != nil {
		answerError(w, err)
		return
	}
	answerJSON(w, http.StatusOK, none{})
}

func (s *Server) put(w http.ResponseWriter, r *http.Request) error {
	of, at, err := place(r.PathValue("path"))
	if err != nil {
		return err
	}
	if _, err := s.held(r.Context(), of); err != nil { // before the bytes come
		return err
	}
	release, err := s.hold(r.Context(), r.ContentLength)
	if err != nil {
		return err
	}
	defer release()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.cfg.MaxArtifactBytes))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return &refusal{http.StatusRequestEntityTooLarge, "INVALID_PARAMETER_VALUE", "the artifact " + at + " is too large: " + err.Error()}
	}
	if err != nil {
		return fault.New(fault.Canceled, "the upload of %s: %w", at, err)
	}
	digest, err := s.cfg.Blobs.Put(r.Context(), body)
	if err != nil {
		return err
	}
	return s.keeper(of).PutArtifact(r.Context(), of.id, at, runs.Artifact{Digest: digest, Bytes: int64(len(body))})
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request) {
	of, at, err := place(r.PathValue("path"))
	if err == nil {
		err = s.keeper(of).DropArtifacts(r.Context(), of.id, at)
	}
	if err != nil {
		answerError(w, err)
		return
	}
	answerJSON(w, http.StatusOK, none{})
}
