#!/usr/bin/env python3
"""Records what a command leaves on a terminal, as an SVG picture.

    tools/demo-picture.py docs/demo.svg target/release/planlease demo

The command runs in a pseudo-terminal of its own, so it shows what it shows to a person, colours and redrawn lines
included. What stands on the screen at its end is written; nothing is added but the prompt with the command, and nothing
is taken away. Only what `planlease` sends is understood: colours, "up", and "erase below". Needs Python 3.8 and nothing
else; the picture needs no other file.
"""

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from html import escape

COLUMNS, ROWS = 118, 60
FONT_SIZE, WIDTH, HEIGHT = 14, 8.4, 20  # The advance of a monospaced font is 0.6 of its size.
PADDING, TITLE = 20, 36

BACKGROUND, BORDER, TEXT = "#16181d", "#30343c", "#d5d9e0"
COLOURS = ["#5c6370", "#ff6b68", "#7fc66b", "#e5c07b", "#6cb0f5", "#c792ea", "#56c8d8", "#d5d9e0"]
TOKEN = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b[()][A-Z0-9]|[\x00-\x1f]|[^\x00-\x1f\x1b]+")


class Screen:
    """As much of a terminal as is needed: rows of cells, each a character with its style."""

    def __init__(self):
        self.rows, self.row, self.column = [[]], 0, 0
        self.plain()

    def plain(self):
        self.colour, self.bold, self.dim = None, False, False

    def feed(self, text):
        for token in TOKEN.finditer(text):
            if token.group(2):
                self.control(token.group(1), token.group(2))
            elif token.group(0) == "\n":
                self.go(self.row + 1, self.column)
            elif token.group(0) == "\r":
                self.column = 0
            elif token.group(0)[0] >= " ":
                for character in token.group(0):
                    self.put(character)

    def go(self, row, column):
        self.row, self.column = max(row, 0), column
        while len(self.rows) <= self.row:
            self.rows.append([])

    def put(self, character):
        if self.column == COLUMNS:
            self.go(self.row + 1, 0)
        row = self.rows[self.row]
        row.extend([(" ", None, False, False)] * (self.column + 1 - len(row)))
        row[self.column] = (character, self.colour, self.bold, self.dim)
        self.column += 1

    def control(self, arguments, command):
        numbers = [int(number or 0) for number in arguments.lstrip("?").split(";")]
        if command == "m":
            for number in numbers:
                self.style(number)
        elif command == "A":
            self.go(self.row - max(numbers[0], 1), self.column)
        elif command == "J":
            del self.rows[self.row + 1 :]
            del self.rows[self.row][self.column :]

    def style(self, number):
        if number == 0:
            self.plain()
        elif number == 1:
            self.bold = True
        elif number == 2:
            self.dim = True
        elif number == 22:
            self.bold = self.dim = False
        elif 30 <= number <= 37 or 90 <= number <= 97:
            self.colour = COLOURS[number % 10]
        elif number == 39:
            self.colour = None


def record(command):
    """Runs the command in a terminal; its output as text, and whether it succeeded."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS))
        os.environ.pop("NO_COLOR", None)
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    output = b""
    try:
        while chunk := os.read(terminal, 65536):
            output += chunk
    except OSError:
        pass  # Linux says that the other side has closed with an error.
    _, status = os.waitpid(child, 0)
    return output.decode("utf-8", "replace"), os.waitstatus_to_exitcode(status) == 0


def runs(row):
    """The cells of a row as pieces of one style: column, text, style."""
    start = 0
    for end in range(1, len(row) + 1):
        ends = end == len(row) or row[end][1:] != row[start][1:] or (row[end][0] in "█░") != (row[start][0] in "█░")
        if ends or (row[start][0] in "█░" and row[end][0] != row[start][0]):
            yield start, "".join(cell[0] for cell in row[start:end]), row[start][1:]
            start = end


def draw(column, text, style, y):
    """One piece. Bars are drawn as rectangles: as characters they would have gaps in most fonts."""
    colour, bold, dim = style
    x = PADDING + column * WIDTH
    if text[0] in "█░":
        fill, opacity = (colour or TEXT), ("0.2" if text[0] == "░" else "0.9")
        return (
            f'<rect x="{x:.1f}" y="{y - 11}" width="{len(text) * WIDTH:.1f}" height="12"'
            f' fill="{fill}" opacity="{opacity}"/>'
        )
    if not text.strip():
        return ""
    lead = len(text) - len(text.lstrip(" "))
    text, x = text.strip(" "), x + lead * WIDTH
    attributes = f' fill="{colour}"' if colour else ""
    attributes += ' font-weight="bold"' if bold else ""
    attributes += ' opacity="0.6"' if dim else ""
    # The length makes columns meet in whatever monospaced font there is. Browsers collapse plain spaces.
    shown = escape(text).replace(" ", "\u00a0")
    return (
        f'<text x="{x:.1f}" y="{y}" textLength="{len(text) * WIDTH:.1f}" lengthAdjust="spacingAndGlyphs"'
        f'{attributes}>{shown}</text>'
    )


def picture(rows, title):
    width = PADDING * 2 + COLUMNS * WIDTH
    height = TITLE + PADDING * 2 + len(rows) * HEIGHT - 8
    body = []
    for number, row in enumerate(rows):
        y = TITLE + PADDING + 8 + number * HEIGHT
        body.extend(filter(None, (draw(column, text, style, y) for column, text, style in runs(row))))
    lights = "".join(
        f'<circle cx="{PADDING + 2 + n * 20}" cy="{TITLE / 2:.0f}" r="6" fill="{colour}"/>'
        for n, colour in enumerate(["#ff5f57", "#febc2e", "#28c840"])
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}"'
        f' height="{height:.0f}" role="img" aria-label="{escape(title)}">\n<title>{escape(title)}</title>\n'
        f'<rect x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="10"'
        f' fill="{BACKGROUND}" stroke="{BORDER}"/>\n{lights}\n'
        f'<g fill="{TEXT}" font-size="{FONT_SIZE}" font-family="ui-monospace, SFMono-Regular,'
        f" Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace\">\n" + "\n".join(body) + "\n</g>\n</svg>\n"
    )


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    target, command = sys.argv[1], sys.argv[2:]
    output, succeeded = record(command)
    if not succeeded:
        sys.exit(f"{output}\nthe command failed; no picture was made")
    screen = Screen()
    shown = " ".join([os.path.basename(command[0]), *command[1:]])
    screen.feed(f"\x1b[32m$\x1b[0m \x1b[1m{shown}\x1b[0m\r\n{output}")
    while screen.rows and not any(cell[0] != " " for cell in screen.rows[-1]):
        screen.rows.pop()
    with open(target, "w", encoding="utf-8") as file:
        file.write(picture(screen.rows, f"{shown}, recorded on a terminal"))


if __name__ == "__main__":
    main()
