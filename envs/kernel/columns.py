"""Names of the columns of the kernel's arrays. Axes: T time, S symbol of the market, E env, A asset slot, K column.

Plain integers, because Numba compiles module-level integers as constants.
"""

from __future__ import annotations

# bars_TSK float64: prices in quote currency. MARK is the last known close; a missing bar repeats it four times.
# From LAST_MARK on what is known before the bar opens: mark and tradable of the bar before, funding charged on what is
# held into the bar, context of the bar before. Those from FUNDING on are absent when the market was built without.
# Those from TAIL on stand only as far as the last that the market has: 1 where the symbol is in the universe (MEMBER);
# then, of the bar itself, the open of the contract that is left where the bar is the first of another one, else NO_ROLL
# (ROLL, known at its open), and DIVIDEND, known at its close.
OPEN, HIGH, LOW, MARK, VOLUME, TRADABLE = range(6)
LAST_MARK, LAST_TRADABLE, FUNDING, SPLIT, ATR, VOLATILITY, ADV, TAIL, MEMBER, ROLL, DIVIDEND = range(6, 17)
NUM_PRICE_COLUMNS = FUNDING
NUM_CONTEXT_COLUMNS = TAIL
NUM_BAR_COLUMNS = 17
OWN_BAR = ROLL  # the first column of those that belong to the bar itself

# calendar_TK int32: session number, bars since its first bar, bars until its last bar.
SESSION, BAR_IN_SESSION, BARS_LEFT = range(3)

# instrument_SK float64: facts of the contract; limits of the symbol, infinite where off; the share of a short that can
# be borrowed; the number of its sector, -1 for none
(
    MULTIPLIER,
    TICK_SIZE,
    LOT_STEP,
    COMMISSION_PER_UNIT,
    TAKER_BPS,
    MAKER_BPS,
    HALF_SPREAD_TICKS,
    HALF_SPREAD_BPS,
    BORROW_RATE,
    INITIAL_PER_UNIT,
    INITIAL_FRACTION,
    MAINTENANCE_PER_UNIT,
    MAINTENANCE_FRACTION,
    LIQUIDATION_BPS,
    DELIST_BAR,
    FUNDING_HOURS,
    LAST_BAR,
    MAX_UNITS,
    MAX_NOTIONAL,
    MAX_SLOT_ENTRIES,
    SHORT_SHARE,
    SECTOR,
) = range(22)
NUM_INSTRUMENT_COLUMNS = 22

# account_BKL float64: state of an env row. Costs are multiplied by COST_SCALE, which is set from outside and outlives
# episodes, and by COST_DRAW, which is drawn at each reset.
(
    CASH,
    EQUITY,
    PEAK,
    SESSION_EQUITY,
    COST_DRAW,
    EPISODE_TURNOVER,
    EPISODE_COST,
    MOMENT_1,
    MOMENT_2,
    WIN_SUM,
    LOSS_SUM,
    DEEPEST,
    COST_SCALE,
) = range(13)
NUM_ACCOUNT_COLUMNS = 13

# counter_BKL int32: state of an env row
(
    BAR,
    START,
    STOP,
    EPISODE,
    STREAM,
    PENDING_RESET,
    HALT,
    ENTRIES,
    LATENCY,
    STEPS,
    WINS,
    LOSSES,
    EPISODE_BREACHES,
    EPISODE_FILLS,
    BELOW_VAR,
    VAR_PLACE,
) = range(16)
NUM_COUNTER_COLUMNS = 16
# values of HALT
NOT_HALTED, HALTED_SESSION, HALTED_EPISODE = range(3)

# position_BAKL float64, as many columns as the config needs. The first three always; the next two with barriers or
# latency, and from QUEUE on one per bar of latency; then, with barriers in ATR, the bar after the close at which the
# working order was decided; the last two, counted from the end, with Kelly sizing.
UNITS, ENTRY_PRICE, TARGET, ENTRY_ATR, EXTREME, QUEUE = range(6)
NUM_POSITION_COLUMNS_MIN = 3
TRADE_PNL, TRADE_NOTIONAL = -2, -1
NUM_TRADE_COLUMNS = 2
# Before those of ATR and Kelly, with scheme order_entry: of an order that rests.
RESTING_KIND, RESTING_LEVEL, RESTING_UNTIL = range(3)
NUM_RESTING_COLUMNS = 3

# slot_BAKL int32: the symbol where rows draw theirs, or entries are counted by symbol; the entries of the session then
ENTRY_BAR, SYMBOL, SLOT_ENTRIES = range(3)

# flow_BKL float64: what happened in the last bar, written anew at each step
(
    TURNOVER,
    COMMISSION,
    SPREAD,
    SLIPPAGE,
    IMPACT,
    FUNDING_PAID,
    BORROW_PAID,
    DIVIDEND_PAID,
    REALISED,
    NUM_FILLS,
    BREACHES,
    NET_RETURN,
    GROSS,
    EQUITY_AFTER,
) = range(14)
NUM_FLOW_COLUMNS = 14

# fill_log_EAPK float64, one row per place a fill can happen in a bar; units 0 = none. Recording only. A roll's two come
# before all others (PLACE_ORDER: the rank of each place within the bar).
AT_OPEN, AT_LEVEL, INSIDE, AT_CLOSE, OLD_CONTRACT, NEW_CONTRACT = range(6)
NUM_PLACES = 6
PLACE_ORDER = (2, 3, 4, 5, 0, 1)
FILL_UNITS, FILL_PRICE, FILL_COMMISSION, FILL_SPREAD, FILL_SLIPPAGE, FILL_IMPACT, FILL_REASON = range(7)
NUM_FILL_COLUMNS = 7

# decision_log_EAK float64: intent decided at the close of t (KEEP or target units) and its reason; financing of
# the bar; units held at its close and the target decided one close earlier. Recording only.
INTENT, INTENT_REASON, LOG_FUNDING, LOG_BORROW, LOG_UNITS, LOG_TARGET, LOG_DIVIDEND = range(7)
NUM_DECISION_COLUMNS = 7

# Scratch.facts_AKL float64: what a block's rows know of an asset slot in a step. First their wish and the reason of a
# forced exit (-1: none), then the bar that is stepped through and the instrument.
WISH, WISH_REASON, SLOT_BAR = range(3)
INSTRUMENT = SLOT_BAR + NUM_BAR_COLUMNS
NUM_FACT_COLUMNS = INSTRUMENT + NUM_INSTRUMENT_COLUMNS

# Scratch.places_3L int64: the bar that rows are at (t + 1 in a step, else the known bar t), the one that orders fill
# in, and the one after the close at which the order was decided that opens a position
HERE, FILL, DECIDED = range(3)
NUM_PLACE_ROWS = 3

# ended_EK float64: statistics of an episode that ended in this step
(
    ENDED_RETURN,
    ENDED_LENGTH,
    ENDED_TURNOVER,
    ENDED_COST,
    ENDED_BREACHES,
    ENDED_FILLS,
    ENDED_MAX_DRAWDOWN,
) = range(7)
NUM_ENDED_COLUMNS = 7

# window_WK int64
WINDOW_START, WINDOW_STOP, WINDOW_STARTS = range(3)

# An intent that leaves the working target as it is (queue and decision log). Not a NaN: NaN never enters the state.
KEEP = 1e300
NO_ROLL = 1e300

# Orders and remainders below this share of the position are rounding noise: not sent, not kept.
DUST = 1e-9

# Reasons of a fill, in the order of REASON_NAMES.
(
    BY_SIGNAL,
    BY_STOP,
    BY_TARGET,
    BY_TRAILING,
    BY_TIME,
    BY_SESSION_END,
    BY_DAILY_LOSS,
    BY_DRAWDOWN,
    BY_LIQUIDATION,
    BY_DELISTING,
    BY_WINDOW_END,
    BY_RUIN,
    BY_LIMIT_ENTRY,
    BY_STOP_ENTRY,
    BY_ROLL,
    BY_UNIVERSE,
) = range(16)
REASON_NAMES = (
    "signal",
    "stop_loss",
    "profit_target",
    "trailing_stop",
    "time_limit",
    "session_end",
    "daily_loss",
    "drawdown",
    "liquidation",
    "delisting",
    "window_end",
    "ruin",
    "limit_entry",
    "stop_entry",
    "roll",
    "universe",
)

# rule_K float64: the whole config as numbers (envs.rules). Off is written as -1.
(
    INITIAL_EQUITY,
    SCHEME,
    ALLOW_SHORT,
    REBALANCE_BAND,
    SIZE_RULE,
    SIZE_UNITS,
    SIZE_FRACTION,
    SIZE_RISK,
    SIZE_VOLATILITY,
    SIZE_KELLY,
    SIZE_KELLY_MIN,
    SIZE_MAX_FRACTION,
    SLIPPAGE_KIND,
    SLIPPAGE_VALUE,
    IMPACT_COEFFICIENT,
    PARTICIPATION,
    CARRY,
    LATENCY_BARS,
    BORROW_ON,
    FUNDING_ON,
    BARRIERS_ON,
    BARRIER_UNIT,
    PROFIT_TARGET,
    STOP_LOSS,
    TRAILING_STOP,
    TIME_LIMIT,
    MAX_GROSS,
    MAX_POSITION,
    MARGIN_ON,
    MAX_DAILY_LOSS,
    MAX_DRAWDOWN,
    MAX_VAR,
    VAR_RANK,
    MAX_ENTRIES,
    MIN_HOLDING,
    NO_TRADE_OPEN,
    NO_TRADE_CLOSE,
    FLAT_RULE,
    RUIN,
    REWARD_SCALE,
    REWARD_DSR_RATE,
    EDGE_BARS,
    EDGE_FACTOR,
    EPISODE_KIND,
    EPISODE_BARS,
    WARMUP_BARS,
    LIQUIDATE,
    RANDOM_TICKERS,
    COST_LOW,
    COST_HIGH,
    EXTRA_LATENCY,
    RETURN_SCALE,
    HOLDING_SCALE,
    YEAR_ROOT,
    DAY_ROOT,
    BARS_PER_SESSION,
    TRADE_STATS,
    READS_ATR,
    READS_VOLATILITY,
    READS_ADV,
    SOME_END,
    RECOVERY,
    MAX_GROSS_NOTIONAL,
    MAX_DAILY_LOSS_AMOUNT,
    MAX_DRAWDOWN_AMOUNT,
    SLOT_LIMITS,
    BORROW_LIMITS,
    LINEAR_IMPACT,
    SIZE_BUDGET,
    SIZE_MONEY,
    SIZE_MAX_UNITS,
    ASKED,
    JOINT_LIMITS,
    MAX_SECTOR,
    MAX_SECTOR_NET,
    NUM_SECTORS,
    MAX_CONCENTRATION,
    PORTFOLIO_VOLATILITY,
    COVARIANCE_BARS,
    SIZE_TAIL,
    READS_TAIL,
    ENTRY_IN_ATR,
    IN_FORCE_BARS,
    NUM_OFFSETS,
    SHOWS_EQUITY_RATIO,
    SHOWS_INITIAL_CAPITAL,
    SHOWS_UTILISATION,
    SCHEDULE,
) = range(88)
# from SCHEDULE on: number of steps, then (equity multiple, fraction, notional cap) per step; then the offsets of
# resting entries; last the weights of the reward terms, in the order of envs.kernel.reward.TERMS

DIRECTION, ORDERS, DIRECTION_SIZE, WEIGHTS, ORDER_ENTRY = range(5)
FIXED_UNITS, FIXED_FRACTION, ATR_RISK, VOLATILITY_TARGET, FRACTIONAL_KELLY, EQUITY_SCHEDULE = range(6)
STOP_DISTANCE, MONEY_BUDGET, VAR_TARGET, CVAR_TARGET = range(6, 10)
NO_SLIPPAGE, FIXED_BPS, FIXED_TICKS, BY_VOLUME = range(4)
PERCENT, TICKS, ATR_MULTIPLES = range(3)
NEVER_FLAT, LAST_OPEN, LAST_CLOSE = range(3)
RANDOM_EPISODE, WHOLE_EPISODE, SESSION_EPISODE = range(3)
