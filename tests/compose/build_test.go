//go:build images

package compose

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// image is a root folder and what a Dockerfile says of its processes.
type image struct {
	name  string
	root  string
	env   map[string]string
	dir   string
	user  string
	shell []string
	cmd   []string

	layers []string    // the folders that root shows, the upper ones first
	binds  [][2]string // what else its processes see of this machine
}

// builder does what a Dockerfile says, natively: a stage is an overlay over the root of its base, RUN a process in it.
type builder struct {
	scratch string // the overlays are mounted below it
	bases   map[string]*image
	binds   [][2]string // files of this machine that every process sees: names and certificates
	env     []string    // what a build engine passes on of proxies and certificates
	n       int
}

// derive mounts a new image over another one.
func (b *builder) derive(t *testing.T, from *image, name string) *image {
	t.Helper()
	b.n++
	dir := filepath.Join(b.scratch, strconv.Itoa(b.n))
	for _, sub := range []string{"upper", "work", "root"} {
		must(t, os.MkdirAll(filepath.Join(dir, sub), 0o755))
	}
	root := filepath.Join(dir, "root")
	must(t, syscall.Mount("overlay", root, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", strings.Join(from.layers, ":"), dir, dir)))
	must(t, syscall.Mount("/proc", filepath.Join(root, "proc"), "", syscall.MS_BIND|syscall.MS_REC, ""))
	must(t, syscall.Mount("/dev", filepath.Join(root, "dev"), "", syscall.MS_BIND|syscall.MS_REC, ""))
	for _, bind := range append(slices.Clone(b.binds), from.binds...) {
		at := filepath.Join(root, bind[1])
		info, err := os.Stat(bind[0])
		must(t, err)
		if info.IsDir() {
			must(t, os.MkdirAll(at, 0o755))
		} else {
			must(t, os.MkdirAll(filepath.Dir(at), 0o755))
			f, err := os.OpenFile(at, os.O_CREATE|os.O_WRONLY, 0o644)
			must(t, err)
			must(t, f.Close())
		}
		must(t, syscall.Mount(bind[0], at, "", syscall.MS_BIND|syscall.MS_REC, ""))
	}
	i := *from
	i.name, i.root, i.env, i.layers = name, root, maps.Clone(from.env), append([]string{filepath.Join(dir, "upper")}, from.layers...)
	if i.env == nil {
		i.env = map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	}
	return &i
}

// account returns the numbers and the home of a user of the image, given by name or number, as engines find them.
func (i *image) account(t *testing.T) (uid, gid uint32, home string) {
	t.Helper()
	user := i.user
	if user == "" {
		user = "root"
	}
	passwd, err := os.ReadFile(filepath.Join(i.root, "etc/passwd"))
	must(t, err)
	for line := range strings.Lines(string(passwd)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) == 7 && (f[0] == user || f[2] == user) {
			u, err := strconv.ParseUint(f[2], 10, 32)
			must(t, err)
			g, err := strconv.ParseUint(f[3], 10, 32)
			must(t, err)
			return uint32(u), uint32(g), f[5]
		}
	}
	t.Fatalf("%s has no user %s", i.name, user)
	return 0, 0, ""
}

// environ is the environment of a process in the image. Later variables win.
func (i *image) environ(home string, more ...string) []string {
	env := []string{"HOME=" + home}
	for _, name := range slices.Sorted(maps.Keys(i.env)) {
		env = append(env, name+"="+i.env[name])
	}
	return append(env, more...)
}

// command is a process in the image, by its user and in its folder.
func (i *image) command(ctx context.Context, t *testing.T, args, env []string) *exec.Cmd {
	t.Helper()
	uid, gid, home := i.account(t)
	// env looks the program up in the image.
	cmd := exec.CommandContext(ctx, "/usr/bin/env", append([]string{"--"}, args...)...)
	cmd.Env, cmd.Dir = i.environ(home, env...), i.dir
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: i.root, Credential: &syscall.Credential{Uid: uid, Gid: gid}, Setpgid: true}
	return cmd
}

func (b *builder) run(t *testing.T, i *image, args ...string) {
	t.Helper()
	b.runWith(t, i, nil, args...)
}

func (b *builder) runWith(t *testing.T, i *image, env []string, args ...string) {
	t.Helper()
	if out, err := i.command(t.Context(), t, args, append(slices.Clone(b.env), env...)).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %v\n%s", i.name, args, err, out[max(0, len(out)-6000):])
	}
}

// build does all instructions of a Dockerfile and returns the last stage.
func (b *builder) build(t *testing.T, context, file string) *image {
	t.Helper()
	stages, metaArgs := dockerfile(t, file)
	args := map[string]string{}
	for _, meta := range metaArgs {
		for _, a := range meta.Args {
			args[a.Key] = a.ValueString()
		}
	}
	built := map[string]*image{}
	var last *image
	for n, stage := range stages {
		from := expander(args)
		base, err := from(stage.BaseName)
		must(t, err)
		under := built[base]
		if under == nil {
			if under = b.bases[base]; under == nil {
				t.Fatalf("%s: no stand-in for the image %s", file, base)
			}
		}
		last = b.derive(t, under, fmt.Sprintf("%s, stage %d", file, n))
		if base != "" && strings.Contains(base, "/runtime:") {
			b.onBuild(t, last, context)
		}
		s := stageBuild{builder: b, image: last, context: context, built: built, args: map[string]string{}}
		for _, command := range stage.Commands {
			t.Logf("%s: %v", last.name, command)
			s.do(t, command)
		}
		built[stage.Name], built[strconv.Itoa(n)] = last, last
	}
	return last
}

func expander(values map[string]string) instructions.SingleWordExpander {
	lex := shell.NewLex('\\')
	var env []string
	for name, value := range values {
		env = append(env, name+"="+value)
	}
	return func(word string) (string, error) {
		out, _, err := lex.ProcessWord(word, shell.EnvsFromSlice(env))
		return out, err
	}
}

type stageBuild struct {
	*builder
	image   *image
	context string
	built   map[string]*image
	args    map[string]string
}

func (s *stageBuild) do(t *testing.T, command instructions.Command) {
	t.Helper()
	i := s.image
	values := maps.Clone(s.args)
	maps.Copy(values, i.env)
	expand := expander(values)
	if c, ok := command.(instructions.SupportsSingleWordExpansion); ok {
		must(t, c.Expand(expand))
	}
	switch c := command.(type) {
	case *instructions.ArgCommand:
		for _, a := range c.Args {
			s.args[a.Key] = a.ValueString()
		}
	case *instructions.EnvCommand:
		for _, e := range c.Env {
			i.env[e.Key] = e.Value
		}
	case *instructions.ShellCommand:
		i.shell = c.Shell
	case *instructions.UserCommand:
		i.user = c.User
	case *instructions.WorkdirCommand:
		i.dir = path.Join("/", i.dir, c.Path)
		if path.IsAbs(c.Path) {
			i.dir = c.Path
		}
		if _, err := os.Stat(filepath.Join(i.root, i.dir)); err != nil {
			must(t, os.MkdirAll(filepath.Join(i.root, i.dir), 0o755))
		}
	case *instructions.CopyCommand:
		s.copy(t, c)
	case *instructions.RunCommand:
		if len(c.FlagsUsed) > 0 {
			t.Fatalf("RUN with flags %v: they are not done here", c.FlagsUsed)
		}
		var env []string
		for name, value := range s.args {
			env = append(env, name+"="+value)
		}
		s.runWith(t, i, env, i.line(c.ShellDependantCmdLine)...)
	case *instructions.CmdCommand:
		i.cmd = i.line(c.ShellDependantCmdLine)
	case *instructions.ExposeCommand:
	default:
		t.Fatalf("%s: %v is not done here", i.name, command)
	}
}

// line is a command as a process gets it: its own words, or one for the shell.
func (i *image) line(l instructions.ShellDependantCmdLine) []string {
	if !l.PrependShell {
		return l.CmdLine
	}
	sh := i.shell
	if len(sh) == 0 {
		sh = []string{"/bin/sh", "-c"}
	}
	return append(slices.Clone(sh), strings.Join(l.CmdLine, " "))
}

// copy does a COPY, from the context without what .dockerignore names, or from another stage.
func (s *stageBuild) copy(t *testing.T, c *instructions.CopyCommand) {
	t.Helper()
	if c.Chown != "" || c.Chmod != "" || c.Parents || len(c.ExcludePatterns) > 0 {
		t.Fatalf("COPY with flags: they are not done here: %v", c)
	}
	dest := c.DestPath
	if !path.IsAbs(dest) {
		dest = path.Join("/", s.image.dir, dest) + map[bool]string{true: "/"}[strings.HasSuffix(dest, "/") || dest == "."]
	}
	from, keep := s.context, given(t, s.context)
	if c.From != "" {
		if s.built[c.From] == nil {
			t.Fatalf("COPY --from=%s: no such stage", c.From)
		}
		from, keep = s.built[c.From].root, func(string) bool { return true }
	}
	found := 0
	for _, pattern := range c.SourcePaths {
		matches, err := filepath.Glob(filepath.Join(from, pattern))
		must(t, err)
		for _, source := range matches {
			found += copyTree(t, from, source, filepath.Join(s.image.root, dest), strings.HasSuffix(dest, "/") || len(matches) > 1, keep)
		}
	}
	if found == 0 {
		t.Fatalf("%v: nothing is there, or .dockerignore leaves it out", c)
	}
}

// copyTree copies a file, or what is in a folder, and returns how many files it copied.
func copyTree(t *testing.T, from, source, dest string, into bool, keep func(string) bool) int {
	t.Helper()
	info, err := os.Stat(source)
	must(t, err)
	n := 0
	must(t, filepath.WalkDir(source, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(from, p)
		if name != "." && !keep(name) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		at := dest
		if rel, _ := filepath.Rel(source, p); rel != "." {
			at = filepath.Join(dest, rel)
		} else if !info.IsDir() && into {
			at = filepath.Join(dest, filepath.Base(p))
		}
		n++
		return copyFile(p, at, d)
	}))
	return n
}

func copyFile(from, to string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	switch {
	case d.IsDir():
		return os.MkdirAll(to, info.Mode().Perm())
	case info.Mode()&fs.ModeSymlink != 0:
		link, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(link, to)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}

// onBuild does what Astronomer's runtime image does in a project's first stage: install packages.txt and requirements.txt, copy the project.
func (b *builder) onBuild(t *testing.T, i *image, context string) {
	t.Helper()
	for _, name := range []string{"packages.txt", "requirements.txt"} {
		if copyTree(t, context, filepath.Join(context, name), filepath.Join(i.root, i.dir, name), false, given(t, context)) != 1 {
			t.Fatalf("the runtime image needs %s, which .dockerignore leaves out", name)
		}
	}
	user := i.user
	i.user = "root"
	b.run(t, i, "/bin/bash", "-o", "pipefail", "-c", `if grep -q '^[^#]' packages.txt; then apt-get update && grep '^[^#]' packages.txt | xargs apt-get install --yes; fi`)
	b.run(t, i, "pip", "install", "--quiet", "--no-cache-dir", "-r", "requirements.txt")
	i.user = user
	copyTree(t, context, context, filepath.Join(i.root, i.dir), true, given(t, context))
	uid, _, _ := i.account(t)
	must(t, filepath.WalkDir(filepath.Join(i.root, i.dir), func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, int(uid), 0)
	}))
}
