import type { Child } from 'hono/jsx';
import type { View } from './view.js';

/** A column: its heading, how a row fills it. The first one heads its row. */
export interface Column<T> {
  readonly head: string;
  readonly cell: (row: T) => Child;
  readonly number?: boolean;
}

/** A table with a caption; it scrolls sideways by keyboard too where the window is narrow. */
export function Table<T>({
  caption,
  columns,
  rows,
  keyOf,
  empty,
}: {
  readonly caption: string;
  readonly columns: readonly Column<T>[];
  readonly rows: readonly T[];
  readonly keyOf: (row: T) => string;
  /** What an empty table means. */
  readonly empty: Child;
}): View {
  if (rows.length === 0) return <div class="empty">{empty}</div>;
  const look = (column: Column<T>): string | undefined =>
    column.number === true ? 'cell-number' : undefined;
  return (
    <div class="table-frame" role="region" aria-label={caption} tabindex={0}>
      <table>
        <caption>{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th scope="col" class={look(column)} key={column.head}>
                {column.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((column, index) =>
                index === 0 ? (
                  <th scope="row" class={look(column)} key={column.head}>
                    {column.cell(row)}
                  </th>
                ) : (
                  <td class={look(column)} key={column.head}>
                    {column.cell(row)}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Facts in two columns: what, and which. Absent ones are left out. */
export function Facts({
  facts,
}: {
  readonly facts: readonly (readonly [name: string, value: Child] | null)[];
}): View {
  return (
    <dl class="facts">
      {facts.map((fact) =>
        fact === null ? null : (
          <>
            <dt>{fact[0]}</dt>
            <dd>{fact[1]}</dd>
          </>
        ),
      )}
    </dl>
  );
}
