import { addressSchema, commonSections, inferenceSection } from '@cabstand/service';
import { z } from 'zod';
import { httpSchema } from './http/config';

const DAY_SECONDS = 86_400;

function seconds(standard: number) {
  return z.number().positive().max(DAY_SECONDS).default(standard);
}

function count(standard: number) {
  return z.int().min(1).max(1_000_000).default(standard);
}

/** The gateway's configuration: file, `CABSTAND_*` variables, flags. */
export const gatewayConfigSchema = z
  .strictObject({
    ...commonSections({ listen: '127.0.0.1:50060', admin: '127.0.0.1:8060' }),
    node_id: z
      .string()
      .regex(/^[A-Za-z0-9._:[\]-]{1,128}$/, 'expected 1 to 128 of A-Z a-z 0-9 . _ : [ ] -')
      .optional()
      .describe('Name of this gateway in rpc_info. Default: the address that is listened on.'),
    routers: z
      .array(addressSchema)
      .max(64)
      .default([])
      .describe('Routers that name hosters. Any of them will do.'),
    hosters: z
      .array(addressSchema)
      .max(1000)
      .default([])
      .describe('Hosters to go without a router; one of the two lists is needed.'),
    limits: z
      .strictObject({
        max_sessions: count(2000).describe(
          'Sessions that callers have here, those between turns too.',
        ),
        max_sessions_per_principal: count(1000).describe(
          'Sessions of one caller here; by default half of all. Hosters count their own.',
        ),
        max_connections_to_hosters: count(1000).describe('Connections to hosters open at once.'),
        idle_timeout_seconds: seconds(300).describe(
          'A named session between turns is let go of after this; its hoster may keep it longer.',
        ),
      })
      .prefault({})
      .describe('how much it takes on'),
    http: httpSchema.prefault({}).describe('browsers and curl'),
    timeouts: z
      .strictObject({
        place_seconds: seconds(30).describe(
          'From the first turn of a session to its first record, all hosters and pauses included.',
        ),
        first_seconds: seconds(10).describe(
          'From sending a turn to its first record on one hoster; each notice starts the time anew.',
        ),
        stall_seconds: seconds(10).describe(
          'Between two records that a caller waits for, before the hoster counts as stalled.',
        ),
        recover_seconds: seconds(30).describe(
          'How long a hoster is looked for that goes on with a session.',
        ),
      })
      .prefault({})
      .describe('when a hoster is given up for another'),
    inference: inferenceSection,
  })
  .superRefine(({ routers, hosters }, context) => {
    if (routers.length > 0 || hosters.length > 0) return;
    context.addIssue({
      code: 'custom',
      path: ['routers'],
      message: 'got nothing, expected host:port of a router (or hosters, to go without one)',
    });
  });

export type GatewayConfig = z.output<typeof gatewayConfigSchema>;
