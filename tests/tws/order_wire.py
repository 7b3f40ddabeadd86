"""Orders on the wire: `placeOrder` read field by field, `openOrder` and `completedOrder` written.

Both carry more than a hundred fields by position, some of which stand there only where another is set. What the
client set is kept by its name in the client's API and comes back as it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tws.wire import UNSET_TEXT, Reader, WireError

_HEAD = [
    "secIdType",
    "secId",
    "action",
    "totalQuantity",
    "orderType",
    "lmtPrice",
    "auxPrice",
    "tif",
    "ocaGroup",
    "account",
    "openClose",
    "origin",
    "orderRef",
    "transmit",
    "parentId",
    "blockOrder",
    "sweepToFill",
    "displaySize",
    "triggerMethod",
    "outsideRth",
    "hidden",
]
_MIDDLE = [
    "discretionaryAmt",
    "goodAfterTime",
    "goodTillDate",
    "faGroup",
    "faMethod",
    "faPercentage",
    "faProfile",
    "modelCode",
    "shortSaleSlot",
    "designatedLocation",
    "exemptCode",
    "ocaType",
    "rule80A",
    "settlingFirm",
    "allOrNone",
    "minQty",
    "percentOffset",
    "eTradeOnly",
    "firmQuoteOnly",
    "nbboPriceCap",
    "auctionStrategy",
    "startingPrice",
    "stockRefPrice",
    "delta",
    "stockRangeLower",
    "stockRangeUpper",
    "overridePercentageConstraints",
    "volatility",
    "volatilityType",
    "deltaNeutralOrderType",
    "deltaNeutralAuxPrice",
]
_DELTA_NEUTRAL = [
    "deltaNeutralConId",
    "deltaNeutralSettlingFirm",
    "deltaNeutralClearingAccount",
    "deltaNeutralClearingIntent",
    "deltaNeutralOpenClose",
    "deltaNeutralShortSale",
    "deltaNeutralShortSaleSlot",
    "deltaNeutralDesignatedLocation",
]
_SCALE = [
    "scalePriceAdjustValue",
    "scalePriceAdjustInterval",
    "scaleProfitOffset",
    "scaleAutoReset",
    "scaleInitPosition",
    "scaleInitFillQty",
    "scaleRandomPercent",
]
_PEG_BENCH = [
    "referenceContractId",
    "isPeggedChangeAmountDecrease",
    "peggedChangeAmount",
    "referenceChangeAmount",
    "referenceExchangeId",
]
_TAIL = [
    "adjustedOrderType",
    "triggerPrice",
    "lmtPriceOffset",
    "adjustedStopPrice",
    "adjustedStopLimitPrice",
    "adjustedTrailingAmount",
    "adjustableTrailingUnit",
    "extOperator",
    "softDollarName",
    "softDollarValue",
    "cashQty",
    "mifid2DecisionMaker",
    "mifid2DecisionAlgo",
    "mifid2ExecutionTrader",
    "mifid2ExecutionAlgo",
    "dontUseAutoPriceForHedge",
    "isOmsContainer",
    "discretionaryUpToLimitPrice",
    "usePriceMgmtAlgo",
    "duration",
    "postToAts",
    "autoCancelParent",
    "advancedErrorOverride",
    "manualOrderTime",
]


def read_placed_order(reader: Reader) -> tuple[int, dict[str, str], dict[str, str]]:
    """Read a `placeOrder` after its message number.

    Returns
    -------
    order id, contract fields, order fields by their names in the client's API.

    Raises
    ------
    WireError
        If it is laid out otherwise, or has combination legs, algorithms or conditions, which the double does not know.
    """
    order_id = reader.integer()
    contract = reader.contract()
    order: dict[str, str] = {}

    def take(names: list[str]) -> None:
        order.update((name, reader.text()) for name in names)

    take(_HEAD)
    if contract["secType"] == "BAG":
        raise WireError("combination orders are not part of this double")
    reader.skip(1)  # what was once sharesAllocation
    take(_MIDDLE)
    if order["deltaNeutralOrderType"]:
        take(_DELTA_NEUTRAL)
    take(["continuousUpdate", "referencePriceType", "trailStopPrice", "trailingPercent"])
    take(["scaleInitLevelSize", "scaleSubsLevelSize", "scalePriceIncrement"])
    if float(order["scalePriceIncrement"] or 0) > 0:
        take(_SCALE)
    take(["scaleTable", "activeStartTime", "activeStopTime", "hedgeType"])
    if order["hedgeType"]:
        take(["hedgeParam"])
    take(["optOutSmartRouting", "clearingAccount", "clearingIntent", "notHeld"])
    if reader.flag():
        raise WireError("delta neutral contracts are not part of this double")
    take(["algoStrategy"])
    if order["algoStrategy"]:
        raise WireError("algorithms are not part of this double")
    take(["algoId", "whatIf", "orderMiscOptions", "solicited", "randomizeSize", "randomizePrice"])
    if order["orderType"] == "PEG BENCH":
        take(_PEG_BENCH)
    if reader.integer():
        raise WireError("conditions are not part of this double")
    take(_TAIL)
    reader.finish()
    return order_id, contract, order


def _fields(order: Mapping[str, Any], names: str) -> list[Any]:
    return [order.get(name, "") for name in names.split()]


def open_order(
    order_id: int,
    contract: tuple[object, ...],
    order: Mapping[str, Any],
    status: str,
    margin: Mapping[str, Any] | None = None,
) -> list[Any]:
    """An `openOrder` of server version 176.

    Parameters
    ----------
    order : the client's fields, and clientId, permId, whatIf.
    margin : what a what-if order answers: initMarginBefore, ..., commission; unset values where it is no such order.
    """
    margin = margin or {}
    state = [
        "initMarginBefore",
        "maintMarginBefore",
        "equityWithLoanBefore",
        "initMarginChange",
        "maintMarginChange",
    ]
    state += ["equityWithLoanChange", "initMarginAfter", "maintMarginAfter", "equityWithLoanAfter"]
    fields: list[Any] = [5, order_id, *contract]
    fields += _fields(
        order, "action totalQuantity orderType lmtPrice auxPrice tif ocaGroup account openClose origin"
    )
    fields += _fields(order, "orderRef clientId permId outsideRth hidden discretionaryAmt goodAfterTime")
    fields += [""]  # sharesAllocation
    fields += _fields(
        order, "faGroup faMethod faPercentage faProfile modelCode goodTillDate rule80A percentOffset"
    )
    fields += _fields(
        order, "settlingFirm shortSaleSlot designatedLocation exemptCode auctionStrategy startingPrice"
    )
    fields += _fields(
        order, "stockRefPrice delta stockRangeLower stockRangeUpper displaySize blockOrder sweepToFill"
    )
    fields += _fields(
        order, "allOrNone minQty ocaType eTradeOnly firmQuoteOnly nbboPriceCap parentId triggerMethod"
    )
    fields += _fields(order, "volatility volatilityType deltaNeutralOrderType deltaNeutralAuxPrice")
    if order.get("deltaNeutralOrderType"):
        fields += [order.get(name, "") for name in _DELTA_NEUTRAL]
    fields += _fields(order, "continuousUpdate referencePriceType trailStopPrice trailingPercent")
    fields += [
        "",
        "",
        "",
        0,
        0,
        0,
    ]  # basis points and their type, legs in words; no legs, no leg prices, no routing
    fields += _fields(order, "scaleInitLevelSize scaleSubsLevelSize scalePriceIncrement")
    if float(order.get("scalePriceIncrement") or 0) > 0:
        fields += [order.get(name, "") for name in _SCALE]
    fields += _fields(order, "hedgeType")
    if order.get("hedgeType"):
        fields += _fields(order, "hedgeParam")
    fields += _fields(order, "optOutSmartRouting clearingAccount clearingIntent notHeld")
    fields += [0, ""]  # no delta neutral contract, no algorithm
    fields += [order.get("solicited", ""), order.get("whatIf", ""), status]
    fields += [margin.get(name, UNSET_TEXT) for name in state]
    fields += [margin.get("commission", ""), "", "", margin.get("commissionCurrency", ""), ""]
    fields += _fields(order, "randomizeSize randomizePrice")
    if order.get("orderType") == "PEG BENCH":
        fields += [order.get(name, "") for name in _PEG_BENCH]
    fields += [0]  # conditions
    fields += _fields(order, "adjustedOrderType triggerPrice trailStopPrice lmtPriceOffset adjustedStopPrice")
    fields += _fields(
        order, "adjustedStopLimitPrice adjustedTrailingAmount adjustableTrailingUnit softDollarName"
    )
    fields += [order.get("softDollarValue", ""), "", *_fields(order, "cashQty dontUseAutoPriceForHedge")]
    fields += _fields(order, "isOmsContainer discretionaryUpToLimitPrice usePriceMgmtAlgo duration postToAts")
    fields += [order.get("autoCancelParent", ""), "", "", "", "", ""]  # what pegs to best and midpoint use
    return fields


def completed_order(
    contract: tuple[object, ...],
    order: Mapping[str, Any],
    status: str,
    filled: float,
    completed: tuple[str, str],
) -> list[Any]:
    """A `completedOrder` of server version 176; it has no order id. completed : its time and status in words."""
    fields: list[Any] = [101, *contract]
    fields += _fields(
        order, "action totalQuantity orderType lmtPrice auxPrice tif ocaGroup account openClose origin"
    )
    fields += _fields(
        order, "orderRef permId outsideRth hidden discretionaryAmt goodAfterTime faGroup faMethod"
    )
    fields += _fields(
        order, "faPercentage faProfile modelCode goodTillDate rule80A percentOffset settlingFirm"
    )
    fields += _fields(order, "shortSaleSlot designatedLocation exemptCode startingPrice stockRefPrice delta")
    fields += _fields(
        order, "stockRangeLower stockRangeUpper displaySize sweepToFill allOrNone minQty ocaType"
    )
    fields += _fields(
        order, "triggerMethod volatility volatilityType deltaNeutralOrderType deltaNeutralAuxPrice"
    )
    if order.get("deltaNeutralOrderType"):
        fields += _fields(order, "deltaNeutralConId deltaNeutralShortSale deltaNeutralShortSaleSlot")
        fields += _fields(order, "deltaNeutralDesignatedLocation")
    fields += _fields(order, "continuousUpdate referencePriceType trailStopPrice trailingPercent")
    fields += ["", 0, 0, 0]  # legs in words; no legs, no leg prices, no routing
    fields += _fields(order, "scaleInitLevelSize scaleSubsLevelSize scalePriceIncrement")
    if float(order.get("scalePriceIncrement") or 0) > 0:
        fields += [order.get(name, "") for name in _SCALE]
    fields += _fields(order, "hedgeType")
    if order.get("hedgeType"):
        fields += _fields(order, "hedgeParam")
    fields += _fields(order, "clearingAccount clearingIntent notHeld")
    fields += [0, "", order.get("solicited", ""), status, *_fields(order, "randomizeSize randomizePrice")]
    if order.get("orderType") == "PEG BENCH":
        fields += [order.get(name, "") for name in _PEG_BENCH]
    fields += [0]  # conditions
    fields += _fields(order, "trailStopPrice lmtPriceOffset cashQty dontUseAutoPriceForHedge isOmsContainer")
    fields += ["", filled, "", order.get("autoCancelParent", ""), "", "", "", "", *completed]
    fields += ["", "", "", "", ""]  # what pegs to best and midpoint use
    return fields
