import type { CommandDescription } from './module-frames';

/** The command that models of every kind know. The hoster carries it out: no engine hears of it. */
export const STOP_COMMAND: CommandDescription = {
  name: 'stop',
  description: 'Brings the turn that runs to its end, at its next step.',
  arguments: { type: 'object', properties: {}, additionalProperties: false },
  result: {
    type: 'object',
    properties: { stopped: { type: 'boolean', description: 'false: it came to its end before' } },
    required: ['stopped'],
    additionalProperties: false,
  },
};
