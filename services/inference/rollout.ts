import { z } from 'zod'
import { trafficSchema } from '../../engine/repository/declaration.ts'

/** `PUT /v1/models/{model}/labels`: all labels that it is to have, each with its version. */
export const labelsBody = z.record(z.string(), z.number().int().positive())

/** `PUT /v1/models/{model}/traffic`: where requests go that name no version. null: to what is labelled `stable`. */
export const trafficBody = trafficSchema.nullable().transform((traffic) => traffic ?? undefined)
