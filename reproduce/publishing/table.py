"""Table: numbers that are no claims, in words."""

import dataclasses

import rich.table


@dataclasses.dataclass(frozen=True)
class Table:
    """Numbers that are no claims, in words.

    Attributes:
        title: What the numbers are.
        columns: Names of the columns.
        rows: The cells of each row.
        note: A sentence below the table.
    """

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str = ""

    def as_rich(self) -> rich.table.Table:
        """Returns the table as a terminal shows it."""
        table = rich.table.Table(
            title=self.title, title_justify="left", caption=self.note or None
        )
        for name in self.columns:
            table.add_column(name)
        for row in self.rows:
            table.add_row(*row)
        return table
