import { z } from 'zod';

/** How our processes tell a failure: a code of the catalogue in `errors.ts`, what happened, and the id under which the log has it. */
export const errorBodySchema = z.object({
  code: z.string().meta({ examples: ['MountNotFound'] }),
  message: z.string().describe('What happened, to what, and what to do'),
  requestId: z.string().describe('Under which the log of the coordinator has it'),
});

export type ErrorBody = Readonly<z.infer<typeof errorBodySchema>>;
