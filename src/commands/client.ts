import type { Command } from 'commander';
import { registerEnrol } from './client-enrol.js';
import { registerFollow } from './client-follow.js';
import { registerMessages } from './client-messages.js';
import { registerShow } from './client-show.js';
import { registerSimulate } from './client-simulate.js';
import { group } from './group.js';

/** `mpe client …`: the reference client, for trials, scripts and the demo. */
export function register(program: Command): void {
  const client = group(program, 'client', 'A client: enrol, escrow, check in (state in MPE_CLIENT_HOME)');
  registerEnrol(client);
  registerMessages(client);
  registerFollow(client);
  registerShow(client);
  registerSimulate(client);
}
