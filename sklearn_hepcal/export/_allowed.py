"""The types of objects that files may hold, under the names they have in files.

Names in files stay when classes move. A file can name nothing else: nothing that is
not in this table is ever imported for it.
"""

from __future__ import annotations

from importlib import import_module

_OWN = {
    "AnsatzEnsemble": "regression._ansatz:AnsatzEnsemble",
    "AsymmetryJERRegressor": "regression:AsymmetryJERRegressor",
    "AtomSplitter": "calibration._atoms:AtomSplitter",
    "BalanceFit": "regression._balance:BalanceFit",
    "BuresMap": "calibration._bures:BuresMap",
    "CalibrationModel": "regression._calibration_model:CalibrationModel",
    "Centre": "shapes._with_centre:_Centre",
    "ColumnScaler": "_tagger_inputs:ColumnScaler",
    "ConstituentInputs": "_constituents:ConstituentInputs",
    "ConvexMap": "calibration._convex_map:ConvexMap",
    "DensityRatioReweighter": "calibration:DensityRatioReweighter",
    "Disk": "shapes:Disk",
    "Ellipse": "shapes:Ellipse",
    "EnergyResolution": "regression._resolution_in_bins:EnergyResolution",
    "Estimate": "metrics:Estimate",
    "Fixed": "shapes:Fixed",
    "FlavourTaggerClassifier": "classification:FlavourTaggerClassifier",
    "FlowMap": "calibration._flow_map:FlowMap",
    "Frame": "calibration._frame:Frame",
    "GaussianAnsatzModel": "regression._gaussian_ansatz:_Model",
    "GaussianAnsatzRegressor": "regression:GaussianAnsatzRegressor",
    "HatBasis": "calibration._hats:HatBasis",
    "Hinges": "regression._hinges:Hinges",
    "IdentityMap": "calibration._maps:IdentityMap",
    "InsituCorrection": "regression._insitu:InsituCorrection",
    "JetInputs": "regression._inputs:JetInputs",
    "JetPtRegressor": "regression:JetPtRegressor",
    "JetTable": "regression._jet_table:JetTable",
    "LogRatio": "regression._jet_pt:LogRatio",
    "LogScale": "regression._response_fit:LogScale",
    "Mixture": "shapes._shape:Mixture",
    "MomentEFNClassifier": "classification:MomentEFNClassifier",
    "MomentEFNModel": "_moment_efn:_Model",
    "MomentEFNRegressor": "regression:MomentEFNRegressor",
    "MonotoneCurve": "calibration._quantile:MonotoneCurve",
    "NSC": "metrics:NSC",
    "NumericalInversion": "metrics:NumericalInversion",
    "OTCalibrator": "calibration:OTCalibrator",
    "Point": "shapes:Point",
    "QuantileMap": "calibration._quantile:QuantileMap",
    "ResponseModel": "regression._response_fit:ResponseModel",
    "Ring": "shapes:Ring",
    "ScaleFactorCalibrator": "calibration:ScaleFactorCalibrator",
    "Segment": "shapes:Segment",
    "ShapinessRatioTransformer": "shapes:ShapinessRatioTransformer",
    "ShapinessTransformer": "shapes:ShapinessTransformer",
    "SimplexTransformer": "calibration:SimplexTransformer",
    "SpectrumRatio": "calibration._conditions:SpectrumRatio",
    "TableInputs": "regression._inputs:TableInputs",
    "TaggerInputs": "_tagger_inputs:TaggerInputs",
    "TaggerModel": "_tagger:TaggerModel",
    "Uniform": "shapes:Uniform",
    "WithCentre": "shapes:WithCentre",
}

# What may stand in a Pipeline with them, or in a DensityRatioReweighter.
_SKLEARN = {
    "BinMapper": "ensemble._hist_gradient_boosting.binning:_BinMapper",
    "CalibratedClassifier": "calibration:_CalibratedClassifier",
    "CalibratedClassifierCV": "calibration:CalibratedClassifierCV",
    "ColumnTransformer": "compose:ColumnTransformer",
    "FeatureUnion": "pipeline:FeatureUnion",
    "FunctionTransformer": "preprocessing:FunctionTransformer",
    "GroupKFold": "model_selection:GroupKFold",
    "HistGradientBoostingClassifier": "ensemble:HistGradientBoostingClassifier",
    "IsotonicRegression": "isotonic:IsotonicRegression",
    "KFold": "model_selection:KFold",
    "LabelEncoder": "preprocessing:LabelEncoder",
    "LinearRegression": "linear_model:LinearRegression",
    "LogisticRegression": "linear_model:LogisticRegression",
    "MaxAbsScaler": "preprocessing:MaxAbsScaler",
    "MinMaxScaler": "preprocessing:MinMaxScaler",
    "Normalizer": "preprocessing:Normalizer",
    "PCA": "decomposition:PCA",
    "Pipeline": "pipeline:Pipeline",
    "PolynomialFeatures": "preprocessing:PolynomialFeatures",
    "PowerTransformer": "preprocessing:PowerTransformer",
    "QuantileTransformer": "preprocessing:QuantileTransformer",
    "Ridge": "linear_model:Ridge",
    "RobustScaler": "preprocessing:RobustScaler",
    "SigmoidCalibration": "calibration:_SigmoidCalibration",
    "SimpleImputer": "impute:SimpleImputer",
    "StandardScaler": "preprocessing:StandardScaler",
    "StratifiedKFold": "model_selection:StratifiedKFold",
    "TransformedTargetRegressor": "compose:TransformedTargetRegressor",
}

ALLOWED = {name: f"sklearn_hepcal.{place}" for name, place in _OWN.items()} | {
    name: f"sklearn.{place}" for name, place in _SKLEARN.items()
}


def find_class(name: str) -> type:
    """Import a class that may be in files.

    Parameters
    ----------
    name : str
        Its name in files.

    Returns
    -------
    type
        The class.

    Raises
    ------
    KeyError
        If no such class may be in files.
    """
    module, _, attribute = ALLOWED[name].partition(":")
    return getattr(import_module(module), attribute)


def find_name(cls: type) -> str | None:
    """Find the name of a class in files.

    Parameters
    ----------
    cls : type
        The class; a derived one is another.

    Returns
    -------
    str or None
        The name, or None if objects of this class cannot be stored.
    """
    for name, place in ALLOWED.items():
        if place.endswith(f":{cls.__name__}") and find_class(name) is cls:
            return name
    return None
