"""Manual pages, in man(7), of a tree of commands."""

import re


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def sentence(text):
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?")) else text + "."


def plain(text):
    """Of Markdown: without links, code marks and emphasis."""
    return re.sub(r"[`*]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text))


def option_lines(option):
    names = ", ".join(f"\\fB{escape(name)}\\fR" for name in option.names)
    value = f" \\fI{escape(option.value)}\\fR" if option.value else ""
    text = [sentence(option.text)] if option.text else []
    if option.choices and "|" not in option.value:
        text.append(f"One of {', '.join(option.choices)}.")
    if option.limits:
        text.append(f"{option.limits}.")
    if option.default:
        text.append(f"Default: {option.default}.")
    if option.excludes:
        text.append(f"Not with {option.excludes}.")
    if option.required:
        text.append("Required.")
    return [".TP", names + value, escape(" ".join(text))]


def argument_lines(argument):
    value = argument.value or argument.names[0].upper()
    return [".TP", f"\\fI{escape(value)}\\fR", escape(sentence(argument.text))]


def synopsis(command):
    words = [f".B {escape(' '.join(command.words))}"]
    for option in command.options:
        if option.required:
            words.append(f"\\fB{escape(option.names[-1])}\\fR \\fI{escape(option.value)}\\fR")
    if any(not option.required for option in command.options):
        words.append("[\\fIoptions\\fR]")
    words += [f"\\fI{escape(argument.value or argument.names[0].upper())}\\fR" for argument in command.arguments]
    if command.commands:
        words.append("\\fIcommand\\fR" if command.inherits else "| \\fIcommand\\fR")
    return words


def environment(command):
    names = {}
    for option in command.options:
        for name in re.findall(r"\bJENNER_\w+", option.text):
            names[name] = option.names[-1]
    return names


def exit_codes(document):
    """[(code, meaning)] of the section "Exit codes" of docs/cli.md."""
    section = document.split("\n## Exit codes\n")[1].split("\n#")[0]
    return [(code, plain(meaning)) for code, meaning in re.findall(r"^\| (\d+) \| (.*) \|$", section, re.MULTILINE)]


def page(command, root, version, date, codes):
    """The page of a program, or of a command that has none below."""
    lines = ['.\\" Made by tools/reference of what the program says of itself.',
             f'.TH {escape(command.name.upper())} 1 "{date}" "Jenner {version}" "Jenner"',
             ".SH NAME", f"{escape(command.name)} \\- {escape(command.what)}",
             ".SH SYNOPSIS", *synopsis(command), ".SH DESCRIPTION", escape(sentence(command.what))]
    if command.arguments:
        lines.append(".SH ARGUMENTS")
        for argument in command.arguments:
            lines += argument_lines(argument)
    lines.append(".SH OPTIONS")
    for option in command.options:
        lines += option_lines(option)
    if command is not root and root.inherits:
        lines += [".PP", f"The options of {escape(root.name)}(1) may be given, too."]
    leaves = [one for one in command.walk() if not one.commands and one is not command]
    if leaves:
        lines.append(".SH COMMANDS")
        for one in leaves:
            lines += [".TP", f"\\fB{escape(' '.join(one.words[1:]))}\\fR",
                      escape(f"{sentence(one.what)} {one.name}(1)")]
    if command.examples:
        lines += [".SH EXAMPLES", ".nf", *(escape(example) for example in command.examples), ".fi"]
    if names := environment(command):
        lines.append(".SH ENVIRONMENT")
        for name, option in sorted(names.items()):
            lines += [".TP", f"\\fB{name}\\fR", escape(f"As {option}, which comes first.")]
    if codes:
        lines.append(".SH EXIT STATUS")
        for code, meaning in codes:
            lines += [".TP", f"\\fB{code}\\fR", escape(sentence(meaning))]
    others = [root.name] if command is not root else []
    others += [name for name in ("jenner", "jenner-server", "jenner-worker") if name != command.name and name not in others]
    lines += [".SH SEE ALSO", ",\n".join(f".BR {escape(name)} (1)" for name in others).replace(",\n", " ,\n")]
    return "\n".join(lines) + "\n"


def pages(root, version, date, codes):
    """{file name: text} for the program and for each of its commands that has none below."""
    return {f"{one.name}.1": page(one, root, version, date, codes)
            for one in root.walk() if one is root or not one.commands}
