"""A terminal that is strict: it knows the commands the console may give, and fails at any other."""

import re
import unicodedata

COMMAND = re.compile(
    r"\x1b(?:\[(?P<row>\d+);1H|\[(?P<style>[017])m|\[\?25[lh]|(?P<clear>\[2J)|\[9;0\])"
)


class Glass:
    """What stands on a screen of this size."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.cells = [[" "] * columns for _ in range(rows)]
        self.marked: list[str] = []  # what was written set off, in order
        self._row, self._column, self._style = 0, 0, "0"

    def write(self, text: str) -> None:
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                command = COMMAND.match(text, at)
                assert command, f"a command that is none of ours: {text[at : at + 12]!r}"
                at = command.end()
                self._obey(command)
                continue
            self._put(text[at])
            at += 1

    def _obey(self, command: re.Match[str]) -> None:
        if command["clear"]:
            self.cells = [[" "] * self.columns for _ in range(self.rows)]
        elif command["row"]:
            self._row, self._column = int(command["row"]) - 1, 0
            assert 0 <= self._row < self.rows, "below the screen"
        elif command["style"]:
            self._style = command["style"]
            if self._style == "7":
                self.marked.append("")

    def _put(self, char: str) -> None:
        assert unicodedata.category(char)[0] != "C", f"a control character: {char!r}"
        assert self._column < self.columns, "over the edge"
        self.cells[self._row][self._column] = char
        self._column += 1
        if self._style == "7":
            self.marked[-1] += char

    @property
    def lines(self) -> list[str]:
        return ["".join(row).rstrip() for row in self.cells]

    @property
    def text(self) -> str:
        """As it is read: from word to word, whatever line they stand in."""
        return " ".join(" ".join(self.lines).split())
