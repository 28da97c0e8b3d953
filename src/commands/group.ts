import type { Command } from 'commander';

/** The parent of subcommands such as `mpe site …`, made when its first subcommand registers. */
export function group(program: Command, name: string, description: string): Command {
  const known = program.commands.find((command) => command.name() === name);
  return known ?? program.command(name).description(description);
}
