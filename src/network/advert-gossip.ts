/**
 * Adverts over gossipsub: one topic, every message judged before it is relayed.
 */
import { type GossipSub, gossipsub, type GossipSubComponents, TopicValidatorResult } from '@libp2p/gossipsub'
import type { Logger } from 'pino'
import { LIMITS } from '../wire/registry.ts'
import type { AdvertVerdict } from './network.ts'

const RESULTS = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
} as const satisfies Record<AdvertVerdict, TopicValidatorResult>

/** Bytes of one gossip RPC: IHAVE lists and answers to IWANT carry many messages; a longer RPC ends the stream. */
const RPC_BYTES_MAX = 1_048_576

/** The gossipsub service of a host, for `topic` only. */
export function advertGossipService(topic: string): (components: GossipSubComponents) => GossipSub {
  return gossipsub({
    globalSignaturePolicy: 'StrictSign',
    allowedTopics: [topic],
    fallbackToFloodsub: false,
    floodPublish: false,
    doPX: false,
    emitSelf: false,
    // Without it the signature of every duplicate is verified, and a message comes some six times.
    fastMsgIdFn: ({ from, seqno }) =>
      from === undefined || seqno === undefined ? '' : Buffer.concat([from, seqno]).toString('latin1'),
    // A lone node publishes too: it may be the first.
    allowPublishToZeroTopicPeers: true,
    maxInboundDataLength: RPC_BYTES_MAX,
    decodeRpcLimits: {
      maxSubscriptions: 16,
      maxMessages: 1_024,
      maxIhaveMessageIDs: 5_000,
      maxIwantMessageIDs: 5_000,
      maxIdontwantMessageIDs: 512,
      maxControlMessages: 64,
      maxPeerInfos: 0,
    },
    maxTopicBytesPerPeer: 16_384,
    scoreParams: {
      // Peers that share an address are common (one home, one data centre) and, at the default weight, mute
      // each other without an error.
      IPColocationFactorWeight: 0,
      topics: {
        [topic]: {
          topicWeight: 1,
          timeInMeshWeight: 0.01,
          timeInMeshQuantum: 1_000,
          timeInMeshCap: 300,
          firstMessageDeliveriesWeight: 1,
          firstMessageDeliveriesDecay: 0.9,
          firstMessageDeliveriesCap: 20,
          // Adverts are rare, so a quiet peer is no bad one: no penalty for few deliveries.
          meshMessageDeliveriesWeight: 0,
          meshMessageDeliveriesDecay: 0.5,
          meshMessageDeliveriesCap: 100,
          meshMessageDeliveriesThreshold: 20,
          meshMessageDeliveriesWindow: 10,
          meshMessageDeliveriesActivation: 5_000,
          meshFailurePenaltyWeight: 0,
          meshFailurePenaltyDecay: 0.5,
          // Squared: three rejected adverts within a minute or two, and the peer is heard no more for a while.
          invalidMessageDeliveriesWeight: -10,
          invalidMessageDeliveriesDecay: 0.99,
        },
      },
    },
  })
}

/** Joins the topic; `judge` is asked about every message that others sent, once. */
export function joinAdvertGossip(
  gossip: GossipSub,
  topic: string,
  judge: (bytes: Uint8Array) => AdvertVerdict,
  logger: Logger,
): void {
  gossip.topicValidators.set(topic, (_, { data }) => {
    if (data.byteLength > LIMITS.advertBytes) return TopicValidatorResult.Reject
    try {
      return RESULTS[judge(data)]
    } catch (thrown) {
      logger.error({ err: thrown }, 'an advert could not be judged')
      return TopicValidatorResult.Ignore
    }
  })
  gossip.subscribe(topic)
}
