#!/bin/sh
# Installs this folder for every user of this machine, and shows each step. Nothing is downloaded.
#
#   sudo ./install.sh               install
#   sudo ./install.sh --uninstall   undo: removes what was installed, and nothing else
#   ./install.sh --dry-run          only show the steps
#
# The program also runs from this folder without any of this: ./bin/visuomotor --help
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=${DESTDIR:-}
opt=$root/opt/visuomotor
dry=no
undo=no
for word in "$@"; do
    case $word in
        --dry-run) dry=yes ;;
        --uninstall) undo=yes ;;
        *) echo "usage: install.sh [--dry-run] [--uninstall]" >&2; exit 2 ;;
    esac
done

step() {
    echo "+ $*"
    if [ $dry = no ]; then "$@"; fi
}

# Source and place of each single file.
files() {
    cat <<FILES
$here/share/60-visuomotor.rules $root/etc/udev/rules.d/60-visuomotor.rules
$here/share/visuomotor-limits.conf $root/etc/security/limits.d/visuomotor.conf
$here/share/visuomotor.bash $root/usr/share/bash-completion/completions/visuomotor
$here/share/_visuomotor $root/usr/share/zsh/vendor-completions/_visuomotor
$here/share/visuomotor.fish $root/usr/share/fish/vendor_completions.d/visuomotor.fish
FILES
    for page in "$here"/share/man/*.1; do
        echo "$page $root/usr/share/man/man1/$(basename "$page")"
    done
}

reload() {
    if [ -z "$root" ] && command -v udevadm >/dev/null 2>&1; then
        step udevadm control --reload
        step udevadm trigger
    fi
}

if [ $undo = yes ]; then
    files | while read -r _ place; do step rm -f "$place"; done
    # Only our own link: another program of this name stays.
    if [ "$(readlink "$root/usr/local/bin/visuomotor" 2>/dev/null)" = /opt/visuomotor/bin/visuomotor ]; then
        step rm -f "$root/usr/local/bin/visuomotor"
    fi
    step rm -rf "$opt"
    reload
    echo "removed; the group \`realtime\` stays"
    exit 0
fi

if [ "$here" != "$opt" ]; then
    step mkdir -p "$opt"
    for part in bin lib share launch robots calibration scenes policies LICENSE-MIT LICENSE-APACHE README install.sh; do
        [ ! -e "$opt/$part" ] || step rm -rf "$opt/$part"
        # Owned by who installs: not by the user who unpacked the archive.
        step cp -R --no-dereference --preserve=mode,timestamps "$here/$part" "$opt/$part"
    done
fi
step mkdir -p "$root/usr/local/bin"
step ln -sfn /opt/visuomotor/bin/visuomotor "$root/usr/local/bin/visuomotor"
files | while read -r source place; do
    [ -d "$(dirname "$place")" ] || step mkdir -p "$(dirname "$place")"
    step cp "$source" "$place"
done
if [ -z "$root" ] && command -v groupadd >/dev/null 2>&1; then
    step groupadd -f realtime
fi
reload
echo "installed. Launch files: /opt/visuomotor/launch. For real-time priority: usermod -aG realtime,dialout USER, then log in again"
