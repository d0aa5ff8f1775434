"""Completion scripts for bash, zsh and fish of a tree of commands."""

import shlex


def at(command):
    """Where a command stands: "" of the program, "/experiment/create" of one of its commands."""
    return "".join("/" + word for word in command.words[1:])


def options_at(command, root):
    return command.options + (root.options if root.inherits and command is not root else [])


def first_line(text):
    return text.split(". ")[0].rstrip(".")


# ---- bash
BASH = r"""# Made by tools/reference of what the program says of itself.
# Sets `kind` and `choices` of what follows option $2 of the command at $1; kind is empty of a flag.
@ID@_value() {
    kind= choices=
    case "$1 $2" in
@VALUES@
    esac
}

@ID@() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at= kind choices commands= options= i
    # Bash cuts --option=value at the "=".
    if [[ $cur == '=' ]]; then
        cur=
    elif [[ $prev == '=' ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == -* ]]; then
            @ID@_value "$at" "${COMP_WORDS[i]}"
            [[ ${COMP_WORDS[i+1]} == '=' ]] && ((i++))
            [[ -n $kind ]] && ((i++))
        else
            case "$at/${COMP_WORDS[i]}" in
@COMMANDS@ at=$at/${COMP_WORDS[i]} ;;
            esac
        fi
    done
    case "$at" in
@PLACES@
    esac
    @ID@_value "$at" "$prev"
    COMPREPLY=()
    if [[ -z $kind && $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$cur"))
        return
    elif [[ -z $kind && -n $commands ]]; then
        COMPREPLY=($(compgen -W "$commands" -- "$cur"))
        return
    elif [[ -z $kind ]]; then
        @ID@_value "$at" ''
    fi
    case "$kind" in
    choices) COMPREPLY=($(compgen -W "$choices" -- "$cur")) ;;
    file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    folder) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    esac
}
complete -F @ID@ @NAME@
"""


def bash(root):
    values, last = [], []
    for command in root.walk():
        entries = [(name, option) for option in command.options for name in option.names]
        # The first argument of a command, by an empty name.
        entries += [("", argument) for argument in command.arguments[:1] if argument.choices]
        for name, option in entries:
            if option.kind:
                everywhere = command is root and root.inherits
                pattern = f"*{shlex.quote(' ' + name)}" if everywhere else shlex.quote(f"{at(command)} {name}")
                line = f"    {pattern}) kind={option.kind} choices={shlex.quote(' '.join(option.choices))} ;;"
                (last if everywhere else values).append(line)
    # A command's own option goes before the program's of the same name.
    places, commands = [], []
    for command in root.walk():
        if command is not root:
            commands.append(shlex.quote(at(command)))
        names = [name for option in options_at(command, root) for name in option.names]
        places.append(f"    {shlex.quote(at(command))}) commands={shlex.quote(' '.join(c.words[-1] for c in command.commands))}"
                      f" options={shlex.quote(' '.join(dict.fromkeys(names)))} ;;")
    script = BASH.replace("@VALUES@", "\n".join(values + last)).replace("@PLACES@", "\n".join(places))
    script = script.replace("@COMMANDS@", "            " + "|".join(commands or ["''"]) + ")")
    return script.replace("@ID@", "_" + root.name.replace("-", "_")).replace("@NAME@", root.name)


# ---- zsh
def zsh_text(text):
    return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")


def zsh_value(option):
    value = zsh_text(option.value)
    action = {"choices": f"({' '.join(option.choices)})", "file": "_files", "folder": "_files -/"}.get(option.kind, " ")
    return f":{value}:{action}"


def zsh_options(command, root):
    seen = set()
    for option in options_at(command, root):
        for name in option.names:
            if name not in seen:
                seen.add(name)
                joined = "=" if name.startswith("--") and option.kind else ""
                many = "*" if "repeatable" in option.text else ""
                yield shlex.quote(f"{many}{name}{joined}[{zsh_text(first_line(option.text))}]"
                                  f"{zsh_value(option) if option.kind else ''}")


def zsh(root):
    def function(command):
        return "_" + command.name.replace("-", "_")
    lines = [f"#compdef {root.name}", "# Made by tools/reference of what the program says of itself."]
    for command in root.walk():
        specs = list(zsh_options(command, root))
        lines += ["", f"{function(command)}() {{"]
        if not command.commands:
            specs += [shlex.quote(f"{number}{zsh_value(argument)}") for number, argument in enumerate(command.arguments, 1)]
            lines += ["  _arguments \\", *(f"    {spec} \\" for spec in specs)]
            lines[-1] = lines[-1].removesuffix(" \\")
        else:
            names = [shlex.quote(f"{one.words[-1]}:{zsh_text(one.what)}") for one in command.commands]
            lines += ["  local state line", "  _arguments -C \\", *(f"    {spec} \\" for spec in specs),
                      "    '1: :->command' '*:: :->rest'", "  case $state in", "  command)",
                      f"    local -a commands=({' '.join(names)})", "    _describe command commands ;;",
                      "  rest)", "    case $line[1] in"]
            lines += [f"    {one.words[-1]}) {function(one)} ;;" for one in command.commands]
            lines += ["    esac ;;", "  esac"]
        lines.append("}")
    # Loaded by compinit as a function of this name, or sourced.
    return "\n".join([*lines, "", f'if [[ $funcstack[1] == {function(root)} ]]; then', f'  {function(root)} "$@"', "else",
                      f"  compdef {function(root)} {root.name}", "fi", ""])


# ---- fish
def fish_quote(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish_names(option):
    for name in option.names:
        yield f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"


def fish_condition(command):
    """Fish has no notion of where a command stands: which words came and which did not."""
    seen = [f"__fish_seen_subcommand_from {word}" for word in command.words[1:]]
    if command.commands:
        seen.append(f"not __fish_seen_subcommand_from {' '.join(one.words[-1] for one in command.commands)}")
    return f" -n {fish_quote('; and '.join(seen))}" if seen else ""


def fish(root):
    lines = ["# Made by tools/reference of what the program says of itself.", f"complete -c {root.name} -f"]
    for command in root.walk():
        where = "" if command is root and root.inherits else fish_condition(command)
        for option in command.options:
            value = {"choices": f" -x -a {fish_quote(' '.join(option.choices))}", "file": " -r -F",
                     "folder": " -x -a '(__fish_complete_directories)'", "other": " -x", "": ""}[option.kind]
            lines.append(f"complete -c {root.name}{where} {' '.join(fish_names(option))}{value}"
                         f" -d {fish_quote(first_line(option.text))}")
        for argument in command.arguments[:1]:
            if argument.choices:
                lines.append(f"complete -c {root.name}{fish_condition(command)} -a {fish_quote(' '.join(argument.choices))}")
        for one in command.commands:
            lines.append(f"complete -c {root.name}{fish_condition(command)} -a {one.words[-1]} -d {fish_quote(one.what)}")
    return "\n".join(lines) + "\n"


def scripts(root):
    """{path below share/: text}."""
    return {f"bash-completion/completions/{root.name}": bash(root),
            f"zsh/vendor-completions/_{root.name}": zsh(root),
            f"fish/vendor_completions.d/{root.name}.fish": fish(root)}
