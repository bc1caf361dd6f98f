"""From a drop in performance to a better model in the traffic, without a hand.

causes     what else has changed: columns, slices, data versions, the machine
trail      what was done, when and why, one line each
retrain    whether retraining starts
here       `mlops run` on this machine, and what came of it
airflow    or an asset event, which starts the pipeline's DAG
act        all of it, told to the channels and shown in the report
"""
