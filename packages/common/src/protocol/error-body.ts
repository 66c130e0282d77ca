import { z } from 'zod';

/** How our processes tell a failure: a code of the catalogue in `errors.ts`, what happened, and the id under which the log has it. */
export const errorBodySchema = z.object({ code: z.string(), message: z.string(), requestId: z.string() });

export type ErrorBody = Readonly<z.infer<typeof errorBodySchema>>;
