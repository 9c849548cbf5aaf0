package artifact_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"salescast/pkg/artifact"
	"salescast/pkg/artifact/dir"
)

// Of several writers that create one name exactly one succeeds, and who replaces must know what is there.
func ExampleStore() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	var s artifact.Store
	if s, err = dir.New(folder); err != nil {
		panic(err)
	}
	ctx := context.Background()
	first, err := s.Create(ctx, "evaluate/manifest.json", strings.NewReader("{}"))
	fmt.Println(err)
	_, err = s.Create(ctx, "evaluate/manifest.json", strings.NewReader("{}"))
	fmt.Println(errors.Is(err, fs.ErrExist))
	if _, err = s.Replace(ctx, "evaluate/manifest.json", first.ETag, strings.NewReader(`{"rows":1}`)); err != nil {
		panic(err)
	}
	_, err = s.Replace(ctx, "evaluate/manifest.json", first.ETag, strings.NewReader("{}"))
	fmt.Println(errors.Is(err, artifact.ErrChanged))
	r, info, err := s.Get(ctx, "evaluate/manifest.json")
	if err != nil {
		panic(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	fmt.Println(info.Size, string(b), err)
	// Output:
	// <nil>
	// true
	// true
	// 10 {"rows":1} <nil>
}
